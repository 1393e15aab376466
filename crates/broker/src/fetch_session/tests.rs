//! Tests of `fetch_session`.

use super::*;

fn tp(partition: i32) -> Asked {
    Asked { topic: "t".into(), topic_id: [0; 16], partition }
}

fn from(fetch_offset: i64) -> Wanted {
    Wanted {
        fetch_offset,
        max_bytes: 100,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        log_start_offset: -1,
    }
}

fn told(high_watermark: i64) -> Told {
    Told { high_watermark, log_start: 0, error: false }
}

const NEW: SessionPlace = SessionPlace { id: 0, epoch: 0 };

fn place(epoch: i32) -> SessionPlace {
    SessionPlace { id: 5, epoch }
}

fn started() -> Sessions {
    let mut sessions = Sessions::default();
    let wanted = vec![(tp(0), from(0)), (tp(1), from(0))];
    let plan = sessions.begin(NEW, wanted.clone(), &[], 5, 0).unwrap();
    assert_eq!(plan, Plan::Session { id: 5, incremental: false, wanted });
    sessions
}

#[test]
fn a_session_remembers_what_is_wanted() {
    let mut sessions = started();
    let plan = sessions.begin(place(1), vec![(tp(1), from(9))], &[tp(0)], 6, 0).unwrap();
    assert_eq!(plan, Plan::Session { id: 5, incremental: true, wanted: vec![(tp(1), from(9))] });
    assert_eq!(sessions.begin(place(1), vec![], &[], 6, 0), Err(SessionRefusal::WrongEpoch));
    assert!(sessions.begin(place(2), vec![], &[], 6, 0).is_ok());
    let unknown = SessionPlace { id: 77, epoch: 1 };
    assert_eq!(sessions.begin(unknown, vec![], &[], 6, 0), Err(SessionRefusal::UnknownId));
}

#[test]
fn only_news_is_told_twice() {
    let mut sessions = started();
    assert!(sessions.tell(5, &tp(0), told(3), false), "the first time");
    assert!(!sessions.tell(5, &tp(0), told(3), false));
    assert!(sessions.tell(5, &tp(0), told(4), false));
    assert!(sessions.tell(5, &tp(0), told(4), true), "records are news");
    let error = Told { error: true, ..told(4) };
    assert!(sessions.tell(5, &tp(0), error, false));
    assert!(sessions.tell(5, &tp(0), error, false), "an error is told until it is over");
}

#[test]
fn a_partition_that_brought_records_is_served_last() {
    let mut sessions = started();
    sessions.tell(5, &tp(0), told(3), true);
    let Plan::Session { wanted, .. } = sessions.begin(place(1), vec![], &[], 6, 0).unwrap() else {
        panic!("the session goes on");
    };
    assert_eq!(wanted.iter().map(|(tp, _)| tp.partition).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn the_final_epoch_ends_the_session() {
    let mut sessions = started();
    assert!(matches!(sessions.begin(place(-1), vec![], &[], 6, 0), Ok(Plan::Full(_))));
    assert!(sessions.is_empty());
}

#[test]
fn sessions_are_bounded_and_only_the_unused_are_evicted() {
    let mut sessions = Sessions::default();
    let max = i32::try_from(SESSIONS_MAX).unwrap();
    for id in 1..=max {
        sessions.begin(NEW, vec![(tp(0), from(0))], &[], id, 0).unwrap();
    }
    let full = sessions.begin(NEW, vec![(tp(0), from(0))], &[], max + 1, 1).unwrap();
    assert!(matches!(full, Plan::Full(_)), "all slots are in use");
    let later = sessions.begin(NEW, vec![(tp(0), from(0))], &[], max + 1, 120_000).unwrap();
    assert!(matches!(later, Plan::Session { .. }));
    assert_eq!(sessions.len(), SESSIONS_MAX);
}
