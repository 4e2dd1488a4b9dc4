//! What would be done, told in text and as JSON; nothing is done.

use system_tests::Result;
use system_tests::past::{Past, STREAM, Scene};

use crate::apply::stands;

#[tokio::test]
async fn every_strategy_says_what_it_would_do_and_does_nothing() -> Result {
    let mut scene = Scene::after(Past::BaseBackup).await?;
    let would = [
        ("continue", None),
        ("trust-database", Some("take the 10 entries")),
        ("trust-stream", Some("leave the 10 entries")),
        ("republish", Some("put out again everything")),
    ];
    for (strategy, would) in would {
        let ask = ["recover", "apply", "--strategy", strategy, "--reason", "x"];
        let text = scene.ask(&ask)?;
        assert_eq!(text.code, 4, "{strategy}: {}", text.errors);
        assert!(text.output.contains(STREAM), "{strategy}: {}", text.output);
        let json = scene.ask(&[["--output", "json"].as_slice(), &ask].concat())?;
        assert_eq!(json.code, 4, "{strategy}: {}", json.errors);
        let report = json.json()?;
        assert_eq!(report["choice"]["strategy"], strategy);
        assert_eq!(report["found"]["streams"].as_array().map(Vec::len), Some(2));
        match would {
            Some(would) => {
                assert!(report["choice"]["refusal"].is_null(), "{strategy}: {report}");
                assert!(text.errors.contains("nothing was done"), "{}", text.errors);
                assert!(text.errors.contains(would), "{strategy}: {}", text.errors);
            }
            None => {
                let refusal = report["choice"]["refusal"].as_str().unwrap_or_default();
                assert!(refusal.contains("10 entries"), "{strategy}: {report}");
                assert!(text.errors.contains(refusal), "{strategy}: {}", text.errors);
            }
        }
    }
    assert_eq!(stands(&scene).await?, (1, Vec::new()));
    assert_eq!(scene.entries().await?.len(), 30);
    Ok(())
}
