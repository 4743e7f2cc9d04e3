//! The document: one JSON object whose entries stay as they were written until one of them is touched.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;

use indexmap::IndexMap;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::ser::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::scope::Scope;
use super::service::Service;
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::record::{MAX_DEPTH, Record};

/// The version of the layout that is written.
pub const VERSION: &str = "3.0.0";

/// The most entries that a document may hold, so that a hostile one cannot fill the memory.
pub const MOST_ENTRIES: usize = 500_000;

/// The registry at one moment.
///
/// Reading it splits the text into entries and parses none of them; so a look at one entry of ten thousand costs no
/// more than finding it, and what nobody touches is written back byte for byte.
#[derive(Debug)]
pub struct Document {
    text: Box<str>,
    top: Map,
    changed: bool,
}

type Map = IndexMap<Box<str>, Node>;

#[derive(Debug)]
enum Node {
    Kept(Range<usize>),
    New(Box<RawValue>),
    Object(Box<Map>),
}

/// Where an entry stands in the document, and its text.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The scope that it belongs to.
    pub scope: Scope,
    /// Its name.
    pub name: &'a str,
    json: &'a str,
}

impl Entry<'_> {
    /// Parses the entry. One that cannot be understood is a service without fields, which names no process.
    pub fn service(&self) -> Result<Service> {
        Ok(Service::parse(self.scope.clone(), self.name, self.json))
    }
}

impl Document {
    /// A document without entries.
    pub fn empty() -> Self {
        let mut document = Self { text: Box::default(), top: Map::default(), changed: false };
        document.top.insert("version".into(), new(&VERSION));
        document.top.insert("lastChange".into(), new(&0));
        document.top.insert("sessions".into(), Node::Object(Box::default()));
        let mut services = Map::default();
        for name in ["global", "projects", "sessions"] {
            services.insert(name.into(), Node::Object(Box::default()));
        }
        document.top.insert("services".into(), Node::Object(Box::new(services)));
        document
    }

    /// Reads a document. Refused are: what is not of the layout, another version, a name given twice, nesting over
    /// [`MAX_DEPTH`], and more than [`MOST_ENTRIES`] entries.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let damaged = |why: String| Error::new(Kind::Damaged, "read registry", "", why);
        let text = String::from_utf8(bytes).map_err(|_| damaged("not UTF-8".into()))?.into_boxed_str();
        if text.bytes().all(|byte| byte.is_ascii_whitespace()) {
            return Err(damaged("empty".into()));
        }
        let count = Cell::new(0);
        let mut input = serde_json::Deserializer::from_str(&text);
        let seed = Seed { text: &text, shape: Shape::Top, count: &count };
        let node = seed.deserialize(&mut input).and_then(|node| input.end().map(|()| node));
        let Node::Object(top) = node.map_err(|error| damaged(error.to_string()))? else {
            return Err(damaged("not an object".into()));
        };
        let document = Self { top: *top, text, changed: false };
        document.check_version().map_err(damaged)?;
        Ok(document)
    }

    fn check_version(&self) -> std::result::Result<(), String> {
        let version = self.top.get("version").map(|node| self.json(node));
        let Some(version) = version.and_then(|json| serde_json::from_str::<String>(json).ok()) else {
            return Err("it has no version, so it is no registry of services".into());
        };
        let mut parts = version.split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next()) {
            (Some(Ok(3)), Some(Ok(0))) => Ok(()),
            (Some(Ok(major)), Some(Ok(minor))) if (major, minor) > (3, 0) => {
                Err(format!("version {version} is newer than {VERSION}, which is understood"))
            }
            _ => Err(format!("version {version} is not {VERSION} (ptrack import reads other layouts)")),
        }
    }

    /// Tells whether anything was changed since it was read.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Writes the document: an entry a line, in the order in which they were made. `now_ms` becomes `lastChange`.
    pub fn write(&mut self, now_ms: u64) -> Vec<u8> {
        self.top.insert("lastChange".into(), new(&now_ms));
        let mut out = Vec::with_capacity(self.text.len() + 4096);
        self.write_map(&self.top, 0, &mut out);
        out.push(b'\n');
        out
    }

    fn write_map(&self, map: &Map, depth: usize, out: &mut Vec<u8>) {
        if map.is_empty() {
            out.extend_from_slice(b"{}");
            return;
        }
        out.extend_from_slice(b"{\n");
        for (index, (key, node)) in map.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b",\n");
            }
            out.extend(std::iter::repeat_n(b' ', 2 * (depth + 1)));
            // A string always serializes.
            let _ = serde_json::to_writer(&mut *out, key);
            out.extend_from_slice(b": ");
            match node {
                Node::Object(map) => self.write_map(map, depth + 1, out),
                node => out.extend_from_slice(self.json(node).as_bytes()),
            }
        }
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', 2 * depth));
        out.push(b'}');
    }

    fn json<'a>(&'a self, node: &'a Node) -> &'a str {
        match node {
            Node::Kept(range) => self.text.get(range.clone()).unwrap_or("null"),
            Node::New(raw) => raw.get(),
            Node::Object(_) => "{}",
        }
    }

    fn object(&self, path: &[&str]) -> Option<&Map> {
        path.iter().try_fold(&self.top, |map, name| match map.get(*name) {
            Some(Node::Object(inner)) => Some(&**inner),
            _ => None,
        })
    }

    fn object_mut(&mut self, path: &[&str]) -> Option<&mut Map> {
        path.iter().try_fold(&mut self.top, |map, name| match map.get_mut(*name) {
            Some(Node::Object(inner)) => Some(&mut **inner),
            _ => None,
        })
    }

    fn object_made(&mut self, path: &[&str]) -> &mut Map {
        path.iter().fold(&mut self.top, |map, name| {
            let node = map.entry((*name).into()).or_insert_with(|| Node::Object(Box::default()));
            if !matches!(node, Node::Object(_)) {
                *node = Node::Object(Box::default());
            }
            match node {
                Node::Object(inner) => &mut **inner,
                Node::Kept(_) | Node::New(_) => unreachable!("it was made an object above"),
            }
        })
    }

    /// Tells whether the document has a place for the services of this scope, or its session.
    pub fn has_scope(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Session(id) => self.session_json(id).is_some() || self.object(&scope.path()).is_some(),
            scope => self.object(&scope.path()).is_some(),
        }
    }

    /// The projects that the document names.
    pub fn projects(&self) -> impl Iterator<Item = &str> {
        self.object(&["services", "projects"]).into_iter().flat_map(|map| map.keys().map(|key| &**key))
    }

    /// All services of all scopes: global ones first, then by project, then by session.
    pub fn services(&self) -> impl Iterator<Item = Entry<'_>> {
        let groups = |kind: &'static str, make: fn(String) -> Scope| {
            let groups = self.object(&["services", kind]).into_iter().flatten();
            groups.flat_map(move |(key, node)| {
                let scope = make(key.to_string());
                self.entries(node, scope)
            })
        };
        let services = self.object(&["services"]);
        let global = services.and_then(|map| map.get("global")).into_iter();
        global
            .flat_map(|node| self.entries(node, Scope::Global))
            .chain(groups("projects", Scope::Project))
            .chain(groups("sessions", Scope::Session))
    }

    fn entries<'a>(&'a self, node: &'a Node, scope: Scope) -> impl Iterator<Item = Entry<'a>> {
        let map = if let Node::Object(map) = node { Some(&**map) } else { None };
        map.into_iter().flatten().map(move |(name, node)| Entry {
            scope: scope.clone(),
            name,
            json: self.json(node),
        })
    }

    /// Reads one service; none where the scope has no such name.
    pub fn get(&self, scope: &Scope, name: &str) -> Result<Option<Service>> {
        let node = self.object(&scope.path()).and_then(|map| map.get(name));
        Ok(node.map(|node| Service::parse(scope.clone(), name, self.json(node))))
    }

    /// Reads one service by name. Without a scope it must be the only one of its name, or an error lists the scopes.
    pub fn find(&self, name: &str, scope: Option<&Scope>) -> Result<Option<Service>> {
        if let Some(scope) = scope {
            return self.get(scope, name);
        }
        let named: Vec<Entry<'_>> = self.services().filter(|entry| entry.name == name).collect();
        match named.as_slice() {
            [] => Ok(None),
            [one] => one.service().map(Some),
            several => {
                let scopes: Vec<String> = several.iter().map(|entry| entry.scope.flags()).collect();
                let why = format!("several scopes have it; say which: {}", scopes.join(", "));
                Err(Error::new(Kind::Invalid, "find service", name, why))
            }
        }
    }

    /// Stores a service under its scope and name, in place of what stood there.
    pub fn insert(&mut self, service: &Service) {
        self.changed = true;
        let map = self.object_made(&service.scope.path());
        map.insert(service.name.as_str().into(), new(service.record()));
    }

    /// Takes a service away, and gives what stood there. A project without services goes with its last one.
    pub fn remove(&mut self, scope: &Scope, name: &str) -> Result<Option<Service>> {
        let found = self.get(scope, name)?;
        self.remove_all(|entry| entry.scope == *scope && entry.name == name);
        Ok(found)
    }

    /// Takes all services away that are chosen, parsed or not, in one pass. Gives how many.
    pub fn remove_all(&mut self, mut chosen: impl FnMut(&Entry<'_>) -> bool) -> usize {
        let doomed: Vec<(Scope, Box<str>)> = self
            .services()
            .filter(|entry| chosen(entry))
            .map(|entry| (entry.scope.clone(), entry.name.into()))
            .collect();
        let mut by_scope: IndexMap<Scope, std::collections::HashSet<Box<str>>> = IndexMap::new();
        for (scope, name) in &doomed {
            by_scope.entry(scope.clone()).or_default().insert(name.clone());
        }
        for (scope, names) in by_scope {
            let Some(map) = self.object_mut(&scope.path()) else { continue };
            map.retain(|name, _| !names.contains(name));
            if let (true, [services, kind, key]) = (map.is_empty(), scope.path().as_slice())
                && let Some(groups) = self.object_mut(&[services, kind])
            {
                groups.shift_remove(*key);
            }
        }
        self.changed |= !doomed.is_empty();
        doomed.len()
    }

    /// All sessions, in the order in which they were registered.
    pub fn sessions(&self) -> impl Iterator<Item = Result<Session>> {
        let map = self.object(&["sessions"]).into_iter().flatten();
        map.map(|(id, node)| Session::parse(id, self.json(node)))
    }

    /// The ids of all sessions, readable or not.
    pub fn session_ids(&self) -> impl Iterator<Item = &str> {
        self.object(&["sessions"]).into_iter().flat_map(|map| map.keys().map(|key| &**key))
    }

    /// Counts as changed, so that it is written even when nothing is in it.
    pub fn touch(&mut self) {
        self.changed = true;
    }

    /// Reads one session; none where no session has that id.
    pub fn session(&self, id: &str) -> Result<Option<Session>> {
        self.session_json(id).map(|json| Session::parse(id, json)).transpose()
    }

    fn session_json(&self, id: &str) -> Option<&str> {
        self.object(&["sessions"])?.get(id).map(|node| self.json(node))
    }

    /// Stores a session under its id.
    pub fn insert_session(&mut self, session: &Session) {
        self.changed = true;
        self.object_made(&["sessions"]).insert(session.id.as_str().into(), new(session.record()));
    }

    /// Takes a session away; its services stay. Tells whether it was there.
    pub fn remove_session(&mut self, id: &str) -> bool {
        let found = self.object_mut(&["sessions"]).and_then(|map| map.shift_remove(id)).is_some();
        self.changed |= found;
        found
    }

    /// Reads another field of the document, as other programs may have put there.
    pub fn other(&self, name: &str) -> Option<Record> {
        Record::parse(self.json(self.top.get(name)?).as_bytes()).ok()
    }

    /// Sets another field of the document.
    pub fn set_other(&mut self, name: &str, value: &impl Serialize) {
        self.changed = true;
        self.top.insert(name.into(), new(value));
    }
}

/// What is stored always serializes; were it not so, `null` says so to every reader.
fn new(value: &(impl Serialize + ?Sized)) -> Node {
    Node::New(to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned()))
}

/// Which part of the layout is read: it says how far to open the text.
#[derive(Clone, Copy)]
enum Shape {
    Top,
    Services,
    Groups,
    Members,
    Leaf,
}

impl Shape {
    fn under(self, key: &str) -> Self {
        match (self, key) {
            (Self::Top, "services") => Self::Services,
            (Self::Top, "sessions") | (Self::Services, "global") | (Self::Groups, _) => Self::Members,
            (Self::Services, "projects" | "sessions") => Self::Groups,
            _ => Self::Leaf,
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'t> {
    text: &'t str,
    shape: Shape,
    count: &'t Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Node, D::Error> {
        let Shape::Leaf = self.shape else { return deserializer.deserialize_map(self) };
        let json = <&'de RawValue>::deserialize(deserializer)?.get();
        // Counting brackets is much cheaper than following them, and nearly always enough.
        let brackets = memchr::memchr2_iter(b'{', b'[', json.as_bytes()).count();
        if brackets > MAX_DEPTH && !crate::record::nests_within(json.as_bytes(), MAX_DEPTH) {
            return Err(de::Error::custom(format_args!("nested deeper than {MAX_DEPTH}")));
        }
        let start = json.as_ptr().addr() - self.text.as_ptr().addr();
        Ok(Node::Kept(start..start + json.len()))
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> std::result::Result<Node, A::Error> {
        let mut map = Map::default();
        while let Some(key) = input.next_key::<Box<str>>()? {
            self.count.set(self.count.get() + 1);
            if self.count.get() > MOST_ENTRIES {
                return Err(de::Error::custom(format_args!("more than {MOST_ENTRIES} entries")));
            }
            let node = input.next_value_seed(Self { shape: self.shape.under(&key), ..self })?;
            let (index, twice) = map.insert_full(key, node);
            if twice.is_some() {
                let name = map.get_index(index).map_or("", |(key, _)| key);
                return Err(de::Error::custom(format_args!("'{name}' is given twice")));
            }
        }
        Ok(Node::Object(Box::new(map)))
    }
}
