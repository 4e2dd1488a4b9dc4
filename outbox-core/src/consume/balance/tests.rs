use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::consume::stream::Flow;

const TOPIC: &str = "orders";

fn member(name: usize) -> Member {
    Member {
        name: format!("member-{name}"),
        topics: vec![TOPIC.to_owned()],
        partitions: None,
    }
}

fn named(name: usize, partitions: &[u32]) -> Member {
    Member {
        partitions: Some(partitions.to_vec()),
        ..member(name)
    }
}

/// A group whose partition n is held by the member of that number; none for free.
fn group(members: Vec<Member>, holders: &[Option<usize>]) -> State {
    let places = (0..).zip(holders).map(|(number, holder)| Place {
        stream: Flow::of_topic(TOPIC).stream("outbox:", Some(number)),
        holder: holder.map(|holder| format!("member-{holder}")),
        is_left: false,
    });
    let mut state = State {
        members,
        places: places.collect(),
        loads: BTreeMap::new(),
    };
    count(&mut state);
    state
}

fn count(state: &mut State) {
    state.loads.clear();
    for holder in state.places.iter().filter_map(|place| place.holder.clone()) {
        *state.loads.entry(holder).or_default() += 1;
    }
}

/// Does what a member decided on what it saw, where that is still so. Returns what it gave back.
fn act(state: &mut State, me: &str, step: &Step) -> Option<String> {
    let mut given = None;
    for place in &mut state.places {
        let key = &place.stream.key;
        if step.take.contains(key) && place.holder.is_none() {
            place.holder = Some(me.to_owned());
        } else if step.give.as_ref() == Some(key) && place.holder.as_deref() == Some(me) {
            place.holder = None;
            given = Some(key.clone());
        }
    }
    count(state);
    given
}

/// Lets all members act in turn until nothing moves; returns what was given back, in order.
fn settle(state: &mut State) -> Vec<String> {
    let names: Vec<String> = state.members.iter().map(|member| member.name.clone()).collect();
    let mut given = Vec::new();
    for _ in 0..=4 * state.places.len() + 4 {
        let mut is_moving = false;
        for name in &names {
            let step = state.step(name);
            is_moving |= step.is_moving;
            given.extend(act(state, name, &step));
        }
        if !is_moving {
            return given;
        }
    }
    panic!("never settles: {state:?}");
}

/// How many streams each live member has that takes part in the spread.
fn spread(state: &State) -> Vec<usize> {
    let free = state.members.iter().filter(|member| member.partitions.is_none());
    free.map(|member| state.load(&member.name)).collect()
}

fn is_fair(loads: &[usize]) -> bool {
    loads
        .iter()
        .max()
        .zip(loads.iter().min())
        .is_none_or(|(most, least)| most - least <= 1)
}

#[test]
fn the_first_member_takes_everything_and_the_next_ones_get_their_share() {
    let mut state = group(vec![member(1)], &[None; 6]);
    assert_eq!(state.step("member-1").take.len(), 6);
    settle(&mut state);
    state.members.push(member(2));
    assert_eq!(settle(&mut state).len(), 3);
    state.members.push(member(3));
    assert_eq!(settle(&mut state).len(), 2);
    assert_eq!(spread(&state), [2, 2, 2]);
}

#[test]
fn members_that_start_together_take_different_streams() {
    let state = group(vec![member(1), member(2), member(3)], &[None; 6]);
    let taken: Vec<String> = (1..=3)
        .flat_map(|n| state.step(&format!("member-{n}")).take)
        .collect();
    assert_eq!((taken.len(), taken.iter().collect::<BTreeSet<_>>().len()), (6, 6));
}

#[test]
fn what_a_dead_member_had_goes_to_those_who_have_least_and_nothing_else_moves() {
    let holders = [Some(1), Some(1), Some(2), Some(2), None, None];
    let mut state = group(vec![member(1), member(2)], &holders);
    let before = state.clone();
    assert_eq!(settle(&mut state), [""; 0]);
    assert_eq!(spread(&state), [3, 3]);
    let kept = |(old, new): (&Place, &Place)| old.holder.is_none() || old.holder == new.holder;
    assert!(before.places.iter().zip(&state.places).all(kept));
}

#[test]
fn nobody_gives_while_a_stream_is_on_its_way() {
    let state = group(
        vec![member(1), member(2)],
        &[Some(1), Some(1), Some(1), Some(1), None],
    );
    assert_eq!(
        state.step("member-1"),
        Step {
            is_moving: true,
            ..Step::default()
        }
    );
    assert_eq!(state.step("member-2").take.len(), 1);
}

#[test]
fn more_members_than_streams_leave_standbys_in_peace() {
    let mut state = group(vec![member(1), member(2), member(3)], &[None, None]);
    assert_eq!(settle(&mut state), [""; 0]);
    let mut loads = spread(&state);
    loads.sort_unstable();
    assert_eq!(loads, [0, 1, 1]);
}

#[test]
fn a_static_member_has_what_it_names_and_nothing_else() {
    let mut state = group(
        vec![member(1), member(2), named(3, &[0, 2])],
        &[Some(1), Some(1), Some(2), Some(2), None],
    );
    settle(&mut state);
    let holder = |n: usize| state.places[n].holder.as_deref();
    assert_eq!((holder(0), holder(2)), (Some("member-3"), Some("member-3")));
    assert!(is_fair(&spread(&state)), "{:?}", spread(&state));
    state.members.pop();
    for place in &mut state.places {
        place.holder.take_if(|holder| holder == "member-3");
    }
    count(&mut state);
    settle(&mut state);
    assert!(
        state.places.iter().all(|place| place.holder.is_some()),
        "the others step in"
    );
}

#[test]
fn of_two_static_members_with_one_partition_the_second_waits() {
    let state = group(vec![named(1, &[0]), named(2, &[0])], &[Some(1)]);
    assert_eq!(state.step("member-2"), Step::default());
    let state = group(vec![named(1, &[0]), named(2, &[0])], &[None]);
    assert_eq!(
        (
            state.step("member-1").take.len(),
            state.step("member-2").take.len()
        ),
        (1, 1)
    );
}

#[test]
fn a_partition_that_nobody_may_take_is_named() {
    let state = group(vec![named(1, &[0])], &[Some(1), None]);
    let step = state.step("member-1");
    assert_eq!((step.unassigned.len(), step.is_moving), (1, false));
}

#[test]
fn a_member_is_left_no_stream_of_a_topic_it_has_no_handler_for() {
    let mut other = member(2);
    other.topics = vec!["payments".to_owned()];
    let mut state = group(vec![member(1), other], &[None; 4]);
    assert_eq!(settle(&mut state), [""; 0]);
    assert_eq!(spread(&state), [4, 0]);
}

#[test]
fn a_stream_that_its_member_does_not_take_is_taken_by_any() {
    let mut state = group(vec![member(1), member(2)], &[Some(1), Some(1), Some(1), None]);
    assert_eq!(state.step("member-1").take, [""; 0]);
    state.places[3].is_left = true;
    assert_eq!(state.step("member-1").take.len(), 1);
}

fn states() -> impl Strategy<Value = State> {
    (
        1..6_usize,
        prop::collection::vec(prop::option::of(0..8_usize), 0..24),
    )
        .prop_map(|(members, holders)| {
            // Members from the sixth on are gone: what they held is free.
            let holders: Vec<_> = holders
                .iter()
                .map(|holder| holder.filter(|holder| *holder < members))
                .collect();
            group((0..members).map(member).collect(), &holders)
        })
}

proptest! {
    #[test]
    fn every_state_becomes_fair_by_the_fewest_moves(mut state in states()) {
        let before = state.clone();
        let given = settle(&mut state);
        prop_assert!(is_fair(&spread(&state)), "{:?}", spread(&state));
        prop_assert!(state.places.iter().all(|place| place.holder.is_some()));
        // No stream moves twice, and none that need not: a member keeps all it had, up to its share.
        prop_assert_eq!(given.len(), given.iter().collect::<BTreeSet<_>>().len());
        let share = before.places.len() / before.members.len();
        for name in before.members.iter().map(|member| &member.name) {
            let had: Vec<_> = before.places.iter().zip(&state.places)
                .filter(|(old, _)| old.holder.as_ref() == Some(name)).collect();
            let lost = had.iter().filter(|(_, new)| new.holder.as_ref() != Some(name)).count();
            prop_assert!(lost <= had.len().saturating_sub(share), "{} lost {} of {}", name, lost, had.len());
        }
    }

    #[test]
    fn members_that_act_on_what_was_so_before_still_end_fair(
        mut state in states(),
        turns in prop::collection::vec((0..6_usize, any::<bool>()), 0..60),
    ) {
        let mut planned: BTreeMap<String, Step> = BTreeMap::new();
        for (turn, is_look) in turns {
            let name = state.members[turn % state.members.len()].name.clone();
            if is_look {
                planned.insert(name.clone(), state.step(&name));
            } else if let Some(step) = planned.remove(&name) {
                act(&mut state, &name, &step);
            }
        }
        settle(&mut state);
        prop_assert!(is_fair(&spread(&state)), "{:?}", spread(&state));
    }

    #[test]
    fn static_members_have_what_they_name_and_the_others_share_the_rest(
        mut state in states(),
        named_partitions in prop::collection::btree_set(0..24_u32, 0..6),
    ) {
        let names: Vec<u32> = named_partitions.into_iter().collect();
        state.members.push(named(9, &names));
        settle(&mut state);
        prop_assert!(is_fair(&spread(&state)), "{:?}", spread(&state));
        for place in &state.places {
            let is_named = names.contains(&place.stream.number());
            prop_assert_eq!(place.holder.as_deref() == Some("member-9"), is_named);
        }
    }
}
