//! Who is whose parent in a stream of records.

use std::collections::HashMap;

use crate::record::Record;

/// A process as a stream names it, and where it stood first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) pid: u64,
    pub(super) start_ticks: Option<u64>,
    pub(super) place: usize,
}

/// One that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) own: Person,
    /// Its parent, where that came before.
    pub(super) parent: Option<Person>,
    /// Whether it has not come before.
    pub(super) new: bool,
}

/// The processes of a stream up to now, by number. Records come parents first.
#[derive(Debug, Default)]
pub(super) struct Family(HashMap<u64, Person>);

impl Family {
    /// Takes the next record, which stands at a place; none where it names no process.
    ///
    /// A parent is not younger than its child: else its number was given away.
    pub(super) fn add(&mut self, record: &Record, place: usize) -> Option<Member> {
        let number = |name| record.field::<u64>(name).ok().flatten();
        let (pid, start_ticks) = (number("pid")?, number("start_ticks"));
        let older = |parent: &&Person| match (parent.start_ticks, start_ticks) {
            (Some(parent), Some(own)) => parent <= own,
            _ => true,
        };
        let above = number("ppid").filter(|ppid| *ppid != pid);
        let parent = above.and_then(|ppid| self.0.get(&ppid)).filter(older).copied();
        let known = self.0.get(&pid).filter(|known| known.start_ticks == start_ticks).copied();
        let own = known.unwrap_or(Person { pid, start_ticks, place });
        self.0.insert(pid, own);
        Some(Member { own, parent, new: known.is_none() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_came_before_and_is_not_younger() {
        let mut family = Family::default();
        let mut add = |line: &str, place| {
            let member = family.add(&Record::parse(line.as_bytes()).expect("a record"), place)?;
            Some((member.parent.map(|parent| parent.place), member.new))
        };
        assert_eq!(add(r#"{"pid":5,"ppid":4,"start_ticks":10}"#, 0), Some((None, true)));
        assert_eq!(add(r#"{"pid":6,"ppid":5,"start_ticks":10}"#, 1), Some((Some(0), true)));
        assert_eq!(add(r#"{"pid":7,"ppid":5,"start_ticks":9}"#, 2), Some((None, true)));
        assert_eq!(add(r#"{"pid":6,"ppid":5,"start_ticks":10}"#, 3), Some((Some(0), false)));
        assert_eq!(add(r#"{"pid":6,"ppid":5,"start_ticks":12}"#, 4), Some((Some(0), true)));
        assert_eq!(add(r#"{"pid":8,"ppid":8}"#, 5), Some((None, true)));
        assert_eq!(add(r#"{"type":"summary"}"#, 6), None);
    }
}
