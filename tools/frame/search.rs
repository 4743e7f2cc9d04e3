//! What all finders share: who is meant, who was asked for, and what could not be judged.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::poll::{PollTimeout, poll};
use procherd::error::{Error, Kind, Result};
use procherd::record::Record;
use procherd::select::{Membership, Selection, Verdict};
use procherd::source::Wants;
use procherd::tree::Index;

use super::args::{LookArgs, OutputArgs, RegistryArgs, SelectorArgs};
use super::operands::{self, Asked, Operands};
use super::report::Reporter;
use super::scene::{Found, Scene, Sheet};

/// What every finder can be told, beside where to look and what it expects.
#[derive(Clone, Debug, clap::Args)]
pub struct SearchArgs {
    /// - looks only at the processes of the records on standard input
    #[arg(value_name = "-")]
    pub operands: Vec<String>,

    /// Stop at the first bad line of the input
    #[arg(long)]
    pub strict: bool,

    /// Options that choose processes.
    #[command(flatten)]
    pub select: SelectorArgs,

    /// The registry to use.
    #[command(flatten)]
    pub registry: RegistryArgs,

    /// Options for what is written.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Where a finder looks that compares two looks.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Where to look")]
pub struct TwoLooksArgs {
    /// Read a snapshot that pstree-json has saved, in place of the live system; given twice for two looks
    #[arg(long, value_name = "FILE")]
    pub from: Vec<PathBuf>,
}

impl TwoLooksArgs {
    /// The looks as they were asked for: the later one, which is reported, and the earlier one where it was saved too.
    ///
    /// `Invalid`: more than two files; or only one, where two looks are `needed`, with the reason.
    pub fn looks(&self, needed: Option<&str>) -> Result<(LookArgs, Option<LookArgs>)> {
        let look = |path: &PathBuf| LookArgs { from: Some(path.clone()) };
        let invalid = |why: &str| Error::new(Kind::Invalid, "read options", "--from", why);
        match (self.from.as_slice(), needed) {
            ([], _) => Ok((LookArgs::default(), None)),
            ([_], Some(why)) => Err(invalid(&format!("a snapshot is one look: {why}"))),
            ([_, _], None) => Err(invalid("two looks were given, where one was asked for")),
            ([one], None) => Ok((look(one), None)),
            ([one, two], Some(_)) => Ok((look(two), Some(look(one)))),
            _ => Err(invalid("two snapshots at most")),
        }
    }
}

/// A search: one look at processes, and which of them are wanted.
pub struct Search {
    /// The look.
    pub scene: Scene,
    selection: Selection,
    own: HashSet<Index>,
    asked: Option<HashMap<Index, Option<Record>>>,
    /// Facts that could not be read, and of how many processes.
    hidden: HashMap<&'static str, usize>,
}

/// What a finder was asked before it looked: who is wanted, and the processes that the input names.
#[derive(Clone)]
pub struct Question {
    selection: Selection,
    named: Option<Vec<Asked>>,
}

impl SearchArgs {
    /// Begins a search: reads the input, where that was asked for, and then looks.
    pub fn begin(&self, look: &LookArgs, wants: Wants, reporter: &mut Reporter) -> Result<Search> {
        let question = self.question(reporter)?;
        self.look(question, look, wants, reporter)
    }

    /// Reads what is asked, from the options and from the input where that is wanted.
    pub fn question(&self, reporter: &mut Reporter) -> Result<Question> {
        let selection = self.select.selection()?;
        let named = match Operands::optional(&self.operands)? {
            Operands::None => None,
            Operands::Input => Some(operands::input(reporter, self.strict)?),
            Operands::Typed(_) => {
                let why = "the only operand is - (records on standard input)";
                return Err(Error::new(Kind::Invalid, "read operand", &self.operands[0], why));
            }
        };
        Ok(Question { selection, named })
    }

    /// Looks for what is asked.
    pub fn look(
        &self,
        question: Question,
        look: &LookArgs,
        wants: Wants,
        reporter: &mut Reporter,
    ) -> Result<Search> {
        let Question { selection, named } = question;
        let mut scene = Scene::look(look, wants, reporter)?;
        scene.know(&self.registry, reporter)?;
        let mut search = Search::new(scene, selection);
        if let Some(named) = named {
            search.only(named, reporter);
        }
        Ok(search)
    }
}

impl Search {
    /// Searches in a look for what the selectors want.
    pub fn new(scene: Scene, selection: Selection) -> Self {
        Self { own: scene.own_line(), scene, selection, asked: None, hidden: HashMap::new() }
    }

    /// Narrows the search to what records name. What has gone is noted; what cannot be judged here is a fault.
    pub fn only(&mut self, named: Vec<Asked>, reporter: &mut Reporter) {
        let mut asked = HashMap::new();
        for Asked { identity, record } in named {
            match self.scene.find(&identity) {
                Found::At(index) => {
                    asked.insert(index, record);
                }
                Found::Gone => reporter.note(format_args!("find process: {identity}: it has gone")),
                Found::Elsewhere(why) => {
                    reporter.fault(&Error::new(Kind::Unsupported, "find process", identity, why));
                }
            }
        }
        self.asked = Some(asked);
    }

    /// Who is wanted.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Tells whether a process is this one, an ancestor, or of its pipeline: finders pass over them.
    pub fn is_own(&self, index: Index) -> bool {
        self.own.contains(&index)
    }

    /// Tells whether a process was asked for: all are where nothing was read.
    pub fn is_asked(&self, index: Index) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked.contains_key(&index))
    }

    /// Judges a process by the selectors. Nobody is wanted who could not be judged; that is counted, and said at the end.
    ///
    /// Its command line and its owner must have been read.
    pub fn wants(&mut self, index: Index) -> bool {
        match self.judge(index) {
            Verdict::Yes => true,
            Verdict::No => false,
            Verdict::Unknown(fact) => {
                self.hide(fact);
                false
            }
        }
    }

    /// Counts a process that could not be judged for want of a fact.
    pub fn hide(&mut self, fact: &'static str) {
        *self.hidden.entry(fact).or_default() += 1;
    }

    /// Judges a process by the selectors, and leaves it to the caller to count what could not be judged.
    pub fn judge(&self, index: Index) -> Verdict {
        let table = self.scene.table();
        let nearest = self.scene.registered.nearest(index, table);
        let member = Membership {
            service: nearest.and_then(|entry| entry.service.as_deref()),
            session: nearest.and_then(|entry| entry.session.as_deref()),
        };
        self.selection.judge(table.get(index), &table.view, member, &self.scene)
    }

    /// Begins the record of a process: the one that asked for it, else its facts; and what the registry knows of it.
    pub fn sheet<'a>(&self, index: Index, out: &'a mut Vec<u8>) -> Sheet<'a> {
        let asked = self.asked.as_ref().and_then(|asked| asked.get(&index)).and_then(Option::as_ref);
        let mut sheet = match asked {
            Some(record) => Sheet::Kept(record.clone(), out),
            None => self.scene.sheet(index, out),
        };
        self.scene.add_membership(index, &mut sheet);
        sheet
    }

    /// Says what could not be judged, which makes the exit 3: it is never "found nothing".
    pub fn end(&self, reporter: &mut Reporter) {
        for (fact, count) in &self.hidden {
            let on = format!("{count} processes");
            let why = "not permitted, so they were not judged";
            reporter.fault(&Error::new(Kind::Denied, format!("read {fact}"), on, why));
        }
    }
}

/// Lets time pass between two looks, without using the processor.
pub fn pause(time: Duration) {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        // Rounded up: a wait that ends too early would spin. A signal that is handled ends it early too.
        let timeout = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        let _ = poll(&mut [], timeout);
    }
}
