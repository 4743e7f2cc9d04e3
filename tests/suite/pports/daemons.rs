//! Ten development servers that were started one after the other, each on the next port.

use super::{pports, sorted};
use crate::support::arena::inside;
use crate::support::scene::Actor;
use crate::support::tool::pipe;
use crate::support::wait::wait_dead;
use crate::support::{Id, SOON, Scene};

// proves: W13 W22 R13
#[test]
fn ten_vite_daemons_on_ten_ports_are_seen_and_all_but_the_newest_are_cleared() {
    inside(|| {
        let scene = Scene::new();
        scene.sh("ip link set lo up").run();
        let server = || scene.actor(["listen"]).called("node /srv/app/node_modules/.bin/vite").start();
        let daemons: Vec<Actor> = (0..10).map(|_| server()).collect();
        let _other = scene.start(["listen"]);
        let roots: Vec<Id> = daemons.iter().map(Actor::root).collect();
        let said = pports(&scene, ["-p", "bin/vite"]).run().ended(0).quiet();
        assert_eq!(sorted(said.ids()), sorted(roots.clone()));
        for daemon in &daemons {
            let port = daemon.fact("port");
            assert_eq!(said.about(daemon.root())["sockets"][0]["port"], port);
            assert_eq!(pports(&scene, [port.to_string().as_str()]).run().ended(0).ids(), [daemon.root()]);
        }
        let (first, last) = (daemons[0].fact("port"), daemons[9].fact("port"));
        let range = format!("{}..{}", first.min(last), first.max(last));
        let in_range = pports(&scene, [range.as_str(), "-p", "vite"]).run().ended(0).ids();
        assert!(in_range.contains(&roots[0]) && in_range.contains(&roots[9]), "{in_range:?}");
        // All of them are one program, of which there should be one.
        let one = ["--role", "web=bin/vite", "--expect", "web=1"];
        let message = scene.tool("pdups").args(one).run().ended(1);
        assert!(message.one_message().contains("found 10"), "{message:?}");
        let newest = *roots.iter().max_by_key(|id| (id.start_ticks, id.pid)).expect("ten");
        let ended =
            pipe([scene.tool("pdups").args(one).args(["--keep", "newest"]), scene.tool("pkill-tree")]);
        assert_eq!(ended[1].code, Some(0), "{ended:?}");
        let gone: Vec<Id> = roots.into_iter().filter(|id| *id != newest).collect();
        wait_dead(SOON, &gone);
        assert_eq!(pports(&scene, ["-p", "bin/vite"]).run().ended(0).ids(), [newest]);
        scene.tool("pdups").args(one).run().ended(0);
    });
}
