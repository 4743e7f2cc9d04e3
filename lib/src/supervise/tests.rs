use proptest::prelude::*;

use super::*;

fn boot(digit: char) -> BootId {
    "6cbf2b60-0d3e-4cf5-b2b8-2f0d2a2b7a11".replace('6', &digit.to_string()).parse().expect("a boot id")
}

/// Runs a service that dies at once whenever it is started; gives the pauses, and whether it was given up.
fn dying(policy: &Policy) -> (Vec<u64>, bool) {
    let (mut memory, mut now, mut pauses) = (Memory::default(), 1000, Vec::new());
    for _ in 0..1000 {
        let (next, remembered) =
            step(policy, memory, &Status::Unhealthy, (Health::Dead, Duration::ZERO), boot('a'), now);
        memory = remembered;
        match next {
            Step::Plan(pause) => pauses.push(pause.as_secs()),
            Step::GiveUp => return (pauses, true),
            Step::Rest => now += 10,
            Step::Attempt => {}
            Step::Beat => panic!("it is dead"),
        }
        now += 1;
    }
    (pauses, false)
}

#[test]
// proves: M07 M08
fn tries_come_after_longer_and_longer_pauses_and_end() {
    let policy = Policy { first: Duration::from_secs(1), ..Policy::default() };
    let quick = Policy { first: Duration::ZERO, ..policy };
    assert_eq!(dying(&quick), (vec![0; 5], true));
    let pauses: Vec<u64> = (0..8).map(|tries| policy.pause(tries).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!(policy.pause(200), Duration::from_secs(30));
}

#[test]
fn tries_are_forgotten_after_a_calm_time_only() {
    let policy = Policy::default();
    let tried = Memory { tries: 3, boot_id: Some(boot('a')), ..Memory::default() };
    let well = |memory, now| {
        step(&policy, memory, &Status::Running, (Health::Healthy, Duration::ZERO), boot('a'), now).1
    };
    let first = well(tried, 1000);
    assert_eq!((first.tries, first.well_ms), (3, Some(1000)));
    assert_eq!(well(first, 60_999).tries, 3);
    assert_eq!(well(first, 61_000).tries, 0);
    let ill =
        step(&policy, first, &Status::Running, (Health::Stale, Duration::from_mins(9)), boot('a'), 2000);
    assert_eq!(
        (ill.0, ill.1.well_ms, ill.1.next_ms),
        (Step::Plan(Duration::from_secs(8)), None, Some(10_000))
    );
}

#[test]
fn what_was_just_started_has_time_to_get_ready() {
    let (policy, fresh) = (Policy::default(), Memory { boot_id: Some(boot('a')), ..Memory::default() });
    let next = |memory, health, age| {
        let seen = (health, Duration::from_secs(age));
        step(&policy, memory, &Status::Running, seen, boot('a'), 99).0
    };
    let plan = Step::Plan(Duration::from_secs(1));
    assert_eq!(next(fresh, Health::Unhealthy, 29), Step::Rest);
    assert_eq!(next(fresh, Health::Unhealthy, 30), plan);
    assert_eq!(next(fresh, Health::Dead, 0), plan);
    assert_eq!(next(Memory { well_ms: Some(1), ..fresh }, Health::Unhealthy, 1), plan);
    assert_eq!(next(Memory { next_ms: Some(1), ..fresh }, Health::Unhealthy, 1), Step::Attempt);
}

#[test]
fn a_reboot_forgets_times_and_keeps_counts() {
    let memory =
        Memory { tries: 2, next_ms: Some(99_999_999), boot_id: Some(boot('a')), ..Memory::default() };
    let (next, after) =
        step(&Policy::default(), memory, &Status::Unhealthy, (Health::Dead, Duration::ZERO), boot('b'), 5);
    assert_eq!((next, after.tries, after.boot_id), (Step::Attempt, 3, Some(boot('b'))));
}

proptest! {
    #[test]
    // Whatever happens, a service is started no more often than allowed between two calm times, and never before its time.
    fn no_sequence_of_verdicts_leads_to_more_tries_than_allowed(
        seen in proptest::collection::vec((0..6_u8, 0..40_000_u64), 1..200),
    ) {
        let policy = Policy::default();
        let (mut memory, mut status, mut now) = (Memory::default(), Status::Running, 0);
        let (mut tries, mut due, mut well_since) = (0, None, None);
        for (verdict, later) in seen {
            now += later;
            let health = [
                Health::Healthy, Health::Stale, Health::Unknown, Health::Unhealthy, Health::Foreign, Health::Dead,
            ][usize::from(verdict)];
            let (next, remembered) = step(&policy, memory, &status, (health, Duration::from_mins(9)), boot('a'), now);
            memory = remembered;
            match next {
                Step::Plan(pause) => due = Some(now + u64::try_from(pause.as_millis()).expect("small")),
                Step::Attempt => {
                    prop_assert!(due.is_some_and(|due| now >= due));
                    (tries, due) = (tries + 1, None);
                    prop_assert!(tries <= policy.tries);
                }
                Step::GiveUp => {
                    prop_assert_eq!(tries, policy.tries);
                    status = Status::Failed;
                }
                Step::Beat => {
                    due = None;
                    let since = *well_since.get_or_insert(now);
                    if now - since >= 60_000 {
                        tries = 0;
                    }
                }
                Step::Rest => {}
            }
            if !matches!(health, Health::Healthy | Health::Unknown | Health::Foreign) && status != Status::Failed
                && next != Step::Rest {
                well_since = None;
            }
            prop_assert!(status != Status::Failed || matches!(next, Step::Rest | Step::GiveUp | Step::Beat));
        }
    }
}
