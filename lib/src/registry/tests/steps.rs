//! Any steps of any clients, held against a plain map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;
use crate::record::Record;

#[derive(Clone, Debug)]
enum Step {
    Save(Scope, u8, u16),
    Remove(Scope, u8),
    RemoveScope(Scope),
    Open(u8, u16),
    Close(u8),
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::Global),
        (0..3_u8).prop_map(|n| Scope::Project(format!("/p\"{n}"))),
        (0..3_u8).prop_map(|n| Scope::Session(format!("s {n}"))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (scope(), 0..4_u8, any::<u16>()).prop_map(|(scope, name, value)| Step::Save(scope, name, value)),
        2 => (scope(), 0..4_u8).prop_map(|(scope, name)| Step::Remove(scope, name)),
        1 => scope().prop_map(Step::RemoveScope),
        1 => (0..3_u8, any::<u16>()).prop_map(|(id, value)| Step::Open(id, value)),
        1 => (0..3_u8).prop_map(Step::Close),
    ]
}

type Model = (BTreeMap<(String, String), u64>, BTreeMap<String, u64>);

fn model_of(document: &Document) -> Model {
    let services = document.services().map(|entry| {
        let service = entry.service().expect("readable");
        let value = service.milliseconds("value").expect("a value");
        ((service.scope.to_string(), service.name), value)
    });
    let sessions = document.sessions().map(|session| {
        let session = session.expect("readable");
        let value = session.record().field("value").expect("a number").expect("a value");
        (session.id, value)
    });
    (services.collect(), sessions.collect())
}

fn apply(document: &mut Document, model: &mut Model, step: &Step) -> Result<()> {
    let record = |value: &u16| {
        let mut record = Record::default();
        record.set("value", value);
        record
    };
    match step {
        Step::Save(scope, name, value) => {
            let name = format!("n\u{e9}-{name}");
            document.insert(&Service::from_fields(scope.clone(), &name, record(value)));
            model.0.insert((scope.to_string(), name), u64::from(*value));
        }
        Step::Remove(scope, name) => {
            let name = format!("n\u{e9}-{name}");
            let found = document.remove(scope, &name)?.is_some();
            assert_eq!(found, model.0.remove(&(scope.to_string(), name)).is_some());
        }
        Step::RemoveScope(scope) => {
            document.remove_all(|entry| entry.scope == *scope);
            model.0.retain(|(known, _), _| *known != scope.to_string());
        }
        Step::Open(id, value) => {
            document.insert_session(&Session::from_fields(&id.to_string(), record(value)));
            model.1.insert(id.to_string(), u64::from(*value));
        }
        Step::Close(id) => {
            assert_eq!(document.remove_session(&id.to_string()), model.1.remove(&id.to_string()).is_some());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_steps_of_any_clients_give_what_they_give_on_a_plain_map(
        steps in proptest::collection::vec((0..3_usize, step()), 1..40),
        together in 1..4_usize,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let clients: Vec<Registry> = (0..3).map(|_| Registry::at(folder.path().join("r.json"))).collect();
        let mut model = Model::default();
        for batch in steps.chunks(together) {
            // One transaction for several steps: all of them, or none.
            let client = &clients[batch[0].0];
            let mut after = model.clone();
            client
                .change(|document| batch.iter().try_for_each(|(_, step)| apply(document, &mut after, step)))
                .expect("changed");
            let mut wasted = after.clone();
            let failed: Result<()> = client.change(|document| {
                batch.iter().try_for_each(|(_, step)| apply(document, &mut wasted, step)).ok();
                wasted.clone_from(&after);
                Err(Error::new(Kind::Refused, "test", "", "no"))
            });
            prop_assert!(failed.is_err());
            model = after;
            for client in &clients {
                prop_assert_eq!(&model_of(&client.read().expect("valid")), &model);
            }
        }
    }
}
