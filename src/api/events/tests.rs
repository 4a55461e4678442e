use super::*;
use crate::model::{AlertKind, AlertState, Level};

fn begun() -> Events {
    Events::begun(Timestamp::from_unix(1000, 0))
}

fn alert(message: String) -> Event {
    Event::Alert {
        time: Timestamp::EPOCH,
        kind: AlertKind::Clock,
        state: AlertState::Raised,
        level: Level::Warning,
        root: None,
        message,
        grown: None,
    }
}

async fn rest(mut body: EventBody) -> String {
    let mut all = String::new();
    while let Some(text) = body.0.recv().await {
        all.push_str(std::str::from_utf8(&text).unwrap());
    }
    all
}

/// What a reader gets that heard `last`, after `told` events and one more: ids, and what was lost.
async fn replayed(told: u64, last: &str) -> (Vec<String>, Option<Event>) {
    let events = begun();
    for n in 1..=told {
        events.publish(&alert(format!("number {n}")));
        events.mention(&alert("in passing".to_owned()));
    }
    let body = events.read(0, Some(&last.parse().unwrap())).unwrap().into_body();
    events.publish(&alert("one more".to_owned()));
    events.close();
    let text = rest(body).await;
    let ids: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned).collect();
    let first = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let lost = serde_json::from_str(first).ok().filter(|event| matches!(event, Event::Lost { .. }));
    (ids, lost)
}

fn ids(numbers: std::ops::RangeInclusive<u64>) -> Vec<String> {
    numbers.map(|n| format!("1000000-{n}")).collect()
}

#[tokio::test]
async fn a_reader_gets_every_event_in_order_and_ends_with_the_agent() {
    let events = begun();
    events.publish(&alert("nobody listens".to_owned()));
    let body = events.read(1000, None).unwrap().into_body();
    for n in 0..10 {
        events.publish(&alert(format!("number {n}\n")));
    }
    events.close();
    let text = rest(body).await;
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("data: ")).collect();
    assert_eq!(lines.len(), 10, "{text}");
    assert!((0..10).all(|n| lines[n].contains(&format!("number {n}"))), "{text}");
    assert!(text.starts_with(": listening\n\nevent: alert\nid: 1000000-2\n"), "{text}");
    assert_eq!(events.read(0, None).unwrap_err().status, 503);
}

#[tokio::test]
async fn who_comes_back_gets_what_came_after_the_event_it_heard_last() {
    assert_eq!(replayed(10, "1000000-7").await, (ids(8..=11), None));
    assert_eq!(replayed(10, "1000000-10").await, (ids(11..=11), None));
    assert_eq!(replayed(10, "1000000-0").await, (ids(1..=11), None));
    assert_eq!(replayed(1500, "1000000-500").await, (ids(501..=1501), None));
}

#[tokio::test]
async fn who_comes_back_too_late_is_told_how_many_it_lost_or_that_nobody_knows() {
    let lost = |count| Some(Event::Lost { count });
    assert_eq!(replayed(1500, "1000000-400").await, (ids(501..=1501), lost(Some(100))));
    assert_eq!(replayed(10, "999999-4").await, (ids(1..=11), lost(None)));
    assert_eq!(replayed(10, "1000000-11").await, (ids(1..=11), lost(None)));
    for broken in ["", "x", "1-", "-1", "1-+2", "1-2-3", "1--2"] {
        assert!(broken.parse::<EventId>().is_err(), "{broken}");
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_how_many_it_lost_and_the_others_lose_none() {
    let events = begun();
    let (slow, fast) = (events.read(1, None).unwrap().into_body(), events.read(2, None).unwrap().into_body());
    let fast = tokio::spawn(rest(fast));
    for n in 0..1000 {
        events.publish(&alert(format!("number {n}")));
        tokio::task::yield_now().await;
    }
    events.close();
    let text = rest(slow).await;
    let told = text.lines().filter(|line| line.contains("number")).count();
    let last = text.lines().rfind(|line| line.starts_with("data: ")).unwrap();
    let lost: Event = serde_json::from_str(&last["data: ".len()..]).unwrap();
    let Event::Lost { count: Some(count) } = lost else { panic!("{lost:?}") };
    // What was still waiting when it was cut off is lost as well.
    assert!(told + count as usize <= 1000 && count > 500, "{told} told, {count} lost");
    assert_eq!(fast.await.unwrap().matches("number").count(), 1000);
}

#[test]
fn readers_are_bounded_for_each_user_and_root_finds_a_place() {
    let events = begun();
    let mut mine: Vec<_> = (0..MAX_READERS_PER_UID).map(|_| events.read(1000, None).unwrap()).collect();
    assert_eq!(events.read(1000, None).unwrap_err().status, 503);
    let roots: Vec<_> = (mine.len()..MAX_READERS).map(|_| events.read(0, None).unwrap()).collect();
    assert!(events.read(0, None).is_err());
    drop((roots, mine.pop()));
    assert!(events.read(1000, None).is_ok());
}
