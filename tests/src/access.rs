//! The users of Redis as `docs/operating.md` writes them: the tests' servers have exactly these, so the page is what is tried.

const PAGE: &str = include_str!("../../docs/operating.md");
/// What a person replaces by a password.
const PASSWORD: &str = ">PASSWORD";

/// One line of `redis.conf` for each user, without the word `user`; its password is its name.
#[must_use]
pub(crate) fn users() -> Vec<String> {
    PAGE.lines()
        .filter_map(|line| line.strip_prefix("user "))
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let name = words.first().copied().unwrap_or_default();
            words.join(" ").replace(PASSWORD, &format!(">{name}"))
        })
        .collect()
}

/// Their names.
#[must_use]
pub(crate) fn names() -> Vec<String> {
    let name = |user: String| user.split(' ').next().unwrap_or_default().to_owned();
    users().into_iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::{names, users};

    #[test]
    fn the_page_names_every_user_with_commands_by_name_and_the_keys_of_the_prefix() {
        let users = users();
        assert_eq!(names(), ["relay", "consumer", "observer", "operator", "recover"]);
        for user in &users {
            let name = user.split(' ').next().unwrap_or_default();
            let begin = format!("{name} on >{name} ~outbox:* ");
            let commands = user.strip_prefix(&begin);
            assert!(
                commands.is_some_and(|commands| commands
                    .split(' ')
                    .all(|word| word.starts_with('+') && !word.contains('@'))),
                "{user}: not as `{begin}+command …`"
            );
        }
    }
}
