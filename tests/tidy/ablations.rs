//! What `cargo xtask ablate` takes out is there to be taken out, and the page about it names each.

use std::io;

use crate::sources::below;

#[test]
fn every_patch_applies_and_names_tests_that_exist_and_is_on_the_page() -> io::Result<()> {
    let named = xtask::ablate::check().map_err(io::Error::other)?;
    assert!(named.len() > 10, "only {named:?}");
    let pages = below("docs", &["consumer-mechanisms.md"])?;
    let page = &pages[0].text;
    let wrong: Vec<&String> = named
        .iter()
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    // That a test on the page exists is looked at with its link.
    assert!(wrong.is_empty(), "the page does not name {wrong:?}");
    Ok(())
}
