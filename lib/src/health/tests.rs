use super::*;

#[test]
fn checks_are_read_as_they_are_written() {
    let mut checks = Checks::default();
    for text in [
        "port:8001",
        "port:8002",
        "port:8001",
        "socket:/run/a:b.sock",
        "banner:220 ready",
        "file:/run/h.json",
        "pid-field:server.pid",
        "field:status=ok",
        "field:a.b=",
        "file-age:60s",
        "max-age:2m",
        "within:500ms",
        "command:curl -fs http://localhost:8001/",
    ] {
        checks.add(text).unwrap_or_else(|why| panic!("{text}: {why}"));
    }
    assert_eq!(checks.ports, [8001, 8002]);
    assert_eq!(checks.socket, Some(PathBuf::from("/run/a:b.sock")));
    assert_eq!(checks.fields, [("status".into(), "ok".into()), ("a.b".into(), String::new())]);
    assert_eq!((checks.max_age, checks.within()), (Some(Duration::from_mins(2)), Duration::from_millis(500)));
    assert_eq!(checks.command.as_deref(), Some("curl -fs http://localhost:8001/"));
    for text in
        ["", "port", "port:", "port:0", "port:65536", "port:x", "field:=x", "field:x", "max-age:x", "http:x"]
    {
        assert!(checks.clone().add(text).is_err(), "{text} was accepted");
    }
}

#[test]
fn what_an_entry_notes_is_checked_and_options_add_to_it() {
    use crate::registry::Scope;
    let mut service = Service::new(Scope::Global, "api");
    service.set("health", &["port:1", "max-age:5s", "file:/a"]);
    service.set("port", &2);
    service.set("pidfile", &"/run/api.pid");
    let noted = Checks::of(&service).expect("readable");
    assert_eq!((noted.ports.as_slice(), noted.pidfile.is_some()), (&[1, 2][..], true));
    let typed = Checks { file: Some("/b".into()), ports: vec![3, 1], ..Checks::default() };
    let all = noted.and(&typed);
    assert_eq!((all.ports.as_slice(), all.file), (&[1, 2, 3][..], Some("/b".into())));
    assert_eq!(all.max_age, Some(Duration::from_secs(5)));
    for odd in ["5", r#"["port"]"#, r#"{"port":1}"#, "[1]"] {
        service.set("health", &serde_json::from_str::<serde_json::Value>(odd).expect("JSON"));
        assert!(Checks::of(&service).is_err(), "{odd} was understood");
    }
    service.set("health", &());
    service.set("port", &"x");
    service.set("pidfile", &"relative.pid");
    assert_eq!(Checks::of(&service).expect("nothing is noted"), Checks::default());
}

#[test]
fn the_worse_of_two_findings_counts() {
    use Health::{Dead, Foreign, Healthy, Stale, Unhealthy, Unknown};
    assert!(
        Healthy < Stale && Stale < Unknown && Unknown < Unhealthy && Unhealthy < Foreign && Foreign < Dead
    );
}
