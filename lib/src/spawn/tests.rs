use super::*;

#[test]
fn a_mark_names_the_root_of_its_spawn() {
    let mut identity = Identity::typed(Pid::new(77).expect("a pid"), Some(1234));
    identity.boot = "6cbf2b60-0d3e-4cf5-b2b8-2f0d2a2b7a11".parse().ok();
    assert_eq!(cookie(&identity), "6cbf2b60-77-1234");
    (identity.inode, identity.start_ticks) = (None, Some(99));
    assert_eq!(cookie(&identity), "6cbf2b60-77-99");
}
