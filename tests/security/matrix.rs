//! Every role at every object with every verb, against `matrix.txt`: by the catalogue, and by trying it.

use std::collections::BTreeSet;

use system_tests::Result;

use crate::catalogue::{self, Object, objects};
use crate::expected::Matrix;
use crate::ground::{Ground, ROLES};
use crate::tried::{self, Attempt, answers, attempts, attempts_by_column};

#[tokio::test]
async fn every_object_is_granted_to_those_of_the_matrix_and_to_nobody_else() -> Result {
    // GIVEN both halves of the schema
    let ground = Ground::new().await?;
    let mut administrator = ground.administrator().await?;
    let objects = objects(&mut administrator).await?;
    assert!(objects.len() > 150, "only {} objects", objects.len());
    // WHEN the catalogue is read THEN each object has the line that is expected, and none is without
    let found = catalogue::matrix(&mut administrator, &objects).await?;
    let differences = Matrix::read()?.differences(&found);
    assert!(differences.is_empty(), "matrix.txt:\n{}", differences.join("\n"));
    Ok(())
}

/// What the catalogue says is one thing; a view may be granted whose functions are not, and a grant may be worth nothing.
#[tokio::test]
async fn what_each_role_may_is_what_it_can_do_when_it_tries() -> Result {
    let ground = Ground::new().await?;
    let mut administrator = ground.administrator().await?;
    tried::prepare(&mut administrator).await?;
    let objects = objects(&mut administrator).await?;
    let mut wrong = Vec::new();
    let mut tries = 0;
    for role in ROLES {
        // GIVEN a login of that role, WHEN it tries everything
        let mut connection = ground.connect(role).await?;
        let mut attempts: Vec<(Attempt, bool)> = Vec::new();
        for object in &objects {
            let granted = catalogue::rights(&mut administrator, role, object).await?;
            attempts.extend(expected_of(object, &granted));
        }
        let (attempts, expected): (Vec<Attempt>, Vec<bool>) = attempts.into_iter().unzip();
        let answered = answers(&mut connection, &attempts).await?;
        assert_eq!(answered.len(), attempts.len());
        tries += attempts.len();
        // THEN it is let in where it has the right, and nowhere else
        for ((attempt, expected), answer) in attempts.iter().zip(expected).zip(answered) {
            let is_asked_in_vain = attempt.verb == "select" && expected && answer.starts_with("42501");
            if attempt.was_let_in(&answer) != expected || is_asked_in_vain {
                let (line, verb) = (&attempt.line, &attempt.verb);
                let said = if expected { "granted" } else { "not granted" };
                wrong.push(format!("{role} {verb} {line}: {said}, and answered: {answer}"));
            }
        }
    }
    assert!(tries > 4_000, "only {tries} tries");
    assert!(
        wrong.is_empty(),
        "{} of {tries}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

/// Each verb with whether the role has it; a right to some columns is tried column by column.
fn expected_of(object: &Object, granted: &BTreeSet<String>) -> Vec<(Attempt, bool)> {
    let mut expected = Vec::new();
    for attempt in attempts(object) {
        let some_columns = granted
            .iter()
            .find_map(|right| right.strip_prefix(&format!("{}(", attempt.verb)))
            .map(|columns| columns.trim_end_matches(')').split('+').collect::<BTreeSet<_>>());
        match some_columns {
            Some(columns) => expected.extend(attempts_by_column(object, &attempt.verb, &columns)),
            None => {
                let is_granted = granted.contains(&attempt.verb);
                expected.push((attempt, is_granted));
            }
        }
    }
    expected
}
