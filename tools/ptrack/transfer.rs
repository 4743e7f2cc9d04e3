//! Imports and exports, and what concerns the registry as a whole.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use procherd::error::{Error, Kind, Result};
use procherd::host::unix_ms;
use procherd::registry::{
    self, Claim, Document, Form, Import, Rebuilt, Scope, Service, Session, Verdict, export, judged,
    write_service, write_session,
};
use procherd::table::Shape;

use super::{Desk, answer, show};
use crate::frame::{self, Exit, Outcome, Output, Reporter, ScopeArgs};

/// Options of `ptrack import`.
#[derive(clap::Args)]
pub(super) struct ImportArgs {
    /// A registry, a folder of tracking files or pid files, a pid file, records, or rows
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,

    /// What it is [default: by its name and its beginning]
    #[arg(long = "as", value_name = "FORM", value_parser = form)]
    form: Option<Form>,

    /// Take names from services that still run; those go on, unregistered
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    scope: ScopeArgs,
}

fn form(name: &str) -> std::result::Result<Form, String> {
    let named = Form::NAMES.iter().find(|(known, _)| *known == name);
    let names: Vec<&str> = Form::NAMES.iter().map(|(name, _)| *name).collect();
    named.map(|(_, form)| *form).ok_or_else(|| format!("none of {}", names.join(", ")))
}

/// Registers what another program keeps. Numbers are bound to processes now, or marked as ended.
pub(super) fn import(desk: &Desk, args: &ImportArgs, reporter: &mut Reporter) -> Outcome {
    let form = args.form.map_or_else(|| Form::of(&args.path), Ok)?;
    let scope = args.scope.choice().for_new(&desk.registry.read()?)?;
    let mut import = registry::import(&args.path, form, &scope)?;
    for fault in &import.faults {
        reporter.fault(fault);
    }
    let verdicts: Vec<Verdict> =
        import.services.iter_mut().map(|service| registry::bind(&desk.host, &desk.source, service)).collect();
    for session in &mut import.sessions {
        registry::bind_session(&desk.host, &desk.source, session);
    }
    let refused = desk.registry.change(|document| take(desk, document, &import, args.replace))?;
    let mut output = Output::new(&desk.output, Shape::Table);
    for (service, verdict) in import.services.iter().zip(&verdicts) {
        match refused.iter().find(|(scope, name, _)| *scope == service.scope && *name == service.name) {
            Some((.., error)) => {
                answer(error, reporter);
            }
            None => output.record(|out| write_service(service, verdict, out))?,
        }
    }
    output.end()?;
    Ok(Exit::Done)
}

/// Stores what was imported. A name that another living process has is refused; that one is given.
fn take(
    desk: &Desk,
    document: &mut Document,
    import: &Import,
    replace: bool,
) -> Result<Vec<(Scope, String, Error)>> {
    let mut refused = Vec::new();
    for service in &import.services {
        let Service { scope, name, .. } = service;
        match registry::claim(document, &desk.host, &desk.source, scope, name)? {
            Claim::Held(held, verdict) if !replace && !same(&held, service) => {
                let pid = held.identity().map_or_else(|_| "?".to_owned(), |id| id.to_string());
                let why = format!(
                    "{scope} has it already: process {pid} ({}); --replace takes the name",
                    verdict.word()
                );
                refused.push((
                    scope.clone(),
                    name.clone(),
                    Error::new(Kind::Gone, "import service", name, why),
                ));
            }
            _ => document.insert(service),
        }
    }
    if import.others.fields().next().is_some() {
        let mut kept = document.other(export::MONITOR).unwrap_or_default();
        import.others.fields().for_each(|(name, raw)| kept.set(name, raw));
        document.set_other(export::MONITOR, &kept);
    }
    for session in &import.sessions {
        if document.session(&session.id)?.is_none() || replace {
            document.insert_session(session);
        }
    }
    Ok(refused)
}

fn same(one: &Service, other: &Service) -> bool {
    matches!((one.identity(), other.identity()), (Ok(one), Ok(other)) if one.same_as(&other))
}

/// Options of `ptrack export`.
#[derive(clap::Args)]
pub(super) struct ExportArgs {
    /// Where to: a file, or a folder for tracking files and pid files [default: standard output]
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,

    /// What to write
    #[arg(long = "as", value_name = "FORM", default_value = "state", value_parser = form)]
    form: Form,

    #[command(flatten)]
    scope: ScopeArgs,
}

/// Writes the registry in the form of another program.
pub(super) fn export(desk: &Desk, args: &ExportArgs, reporter: &mut Reporter) -> Outcome {
    let mut document = desk.registry.read()?;
    let scope = args.scope.choice().typed(&document)?;
    let mut services = Vec::new();
    for entry in document.services() {
        match entry.service() {
            Ok(service) if frame::belongs(&service, scope.as_ref()) => services.push(service),
            Ok(_) => {}
            Err(error) => reporter.fault(&error),
        }
    }
    let bytes = match args.form {
        Form::Tracking | Form::PidFiles => {
            let Some(folder) = &args.path else {
                let why = "several files need a folder: ptrack export --as pids DIR";
                return Err(Error::new(Kind::Invalid, "export", "", why));
            };
            let files = match args.form {
                Form::Tracking => export::tracking(services.iter()),
                _ => export::pid_files(services.iter()),
            };
            fs::create_dir_all(folder)
                .map_err(|error| Error::system("make folder", folder.display(), error))?;
            for (name, bytes) in files {
                write(&folder.join(name), &bytes)?;
            }
            return Ok(Exit::Done);
        }
        Form::State => {
            let kept = |name: &str, scope: &Scope| {
                services.iter().any(|service| service.name == name && service.scope == *scope)
            };
            if scope.is_some() {
                document.remove_all(|entry| !kept(entry.name, &entry.scope));
            }
            document.write(unix_ms())
        }
        Form::Monitor => export::monitor(&document, unix_ms())?,
        Form::Csv => export::table(services.iter()),
        Form::Ndjson => {
            let mut out = Vec::new();
            for service in &services {
                export::record(service, &mut out);
            }
            out
        }
    };
    match &args.path {
        Some(path) => write(path, &bytes)?,
        None => show::raw(&bytes)?,
    }
    Ok(Exit::Done)
}

/// Writes a file beside its place and puts it there in one step.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error| Error::system("write", path.display(), error);
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let done = fs::File::options()
        .write(true)
        .create_new(true)
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    done.map_err(|error| {
        // What was begun is taken away again; the failure is the news.
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}

/// Makes the registry where there is none, and keeps it out of a git work tree that it lies in.
pub(super) fn init(desk: &Desk) -> Outcome {
    if !desk.registry.exists() {
        desk.registry.change(|document| {
            document.touch();
            Ok(())
        })?;
    }
    desk.registry.read()?;
    ignore(desk.registry.path())?;
    show::plain(&desk.registry.path().display().to_string())?;
    Ok(Exit::Done)
}

/// Adds the registry and its lock to the `.gitignore` beside it, where that is a git work tree.
fn ignore(path: &Path) -> Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    if !folder.ancestors().any(|folder| folder.join(".git").exists()) {
        return Ok(());
    }
    let file = folder.join(".gitignore");
    let failed = |error| Error::system("write", file.display(), error);
    let mut text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let name = name.to_string_lossy();
    let wanted = [format!("/{name}"), format!("/{name}.*"), format!("/.{name}.*")];
    let known = |line: &String| text.lines().any(|known| known.trim() == line);
    let missing: Vec<&String> = wanted.iter().filter(|line| !known(line)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for line in missing {
        text.push_str(line);
        text.push('\n');
    }
    write(&file, text.as_bytes())
}

/// Options of `ptrack clear`.
#[derive(clap::Args)]
pub(super) struct ClearArgs {
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Forgets all services of a scope; without one, all services and sessions. Processes go on.
pub(super) fn clear(desk: &Desk, args: &ClearArgs, reporter: &mut Reporter) -> Outcome {
    let removed = desk.registry.change(|document| {
        let scope = args.scope.choice().typed(document)?;
        let all: Vec<(Service, Verdict)> = judged(document, &desk.host, &desk.source)
            .filter_map(Result::ok)
            .filter(|(service, _)| frame::belongs(service, scope.as_ref()))
            .collect();
        // What cannot be read goes as well where all go.
        let doomed: std::collections::HashSet<_> =
            all.iter().map(|(service, _)| (service.scope.clone(), service.name.clone())).collect();
        document.remove_all(|entry| {
            scope.is_none() || doomed.contains(&(entry.scope.clone(), entry.name.to_owned()))
        });
        let sessions: Vec<String> = document.session_ids().map(str::to_owned).collect();
        for id in sessions {
            if scope.is_none() || scope == Some(Scope::Session(id.clone())) {
                document.remove_session(&id);
            }
        }
        Ok(all)
    })?;
    let living = removed.iter().filter(|(_, verdict)| verdict.is_alive()).count();
    let mut output = Output::new(&desk.output, Shape::Table);
    for (service, verdict) in &removed {
        output.record(|out| write_service(service, verdict, out))?;
    }
    output.end()?;
    if living > 0 {
        reporter.note(format_args!("clear registry: {living} of {} still live", removed.len()));
    }
    Ok(Exit::Done)
}

/// Makes entries again for living processes that carry the marks of a spawn or a session, where names and ids are free.
pub(super) fn rebuild(desk: &Desk, reporter: &mut Reporter) -> Outcome {
    let Rebuilt { services, sessions } = registry::rebuild(&desk.host, &desk.source)?;
    let found = services.len() + sessions.len();
    let judge = |session: &Session| registry::judge_session(&desk.host, &desk.source, session);
    let (services, sessions) = desk.registry.change(|document| {
        let mut made = (Vec::new(), Vec::new());
        for session in &sessions {
            let known = document.session(&session.id).ok().flatten();
            // One that is known gives way if its owner has ended, and another one lives.
            if known.is_none_or(|known| judge(&known).is_dead() && judge(session).is_alive()) {
                document.insert_session(session);
                made.1.push(session.clone());
            }
        }
        for service in &services {
            let claim = registry::claim(document, &desk.host, &desk.source, &service.scope, &service.name)?;
            if let Claim::Free(_) = claim {
                document.insert(service);
                made.0.push(service.clone());
            }
        }
        Ok(made)
    })?;
    let mut output = Output::new(&desk.output, Shape::Table);
    for session in &sessions {
        let members = services.iter().filter(|service| service.session().as_ref() == Some(&session.id));
        output.record(|out| write_session(session, &judge(session), members.count(), out))?;
    }
    for service in &services {
        output.record(|out| write_service(service, &desk.judge(service), out))?;
    }
    output.end()?;
    let made = services.len() + sessions.len();
    reporter.note(format_args!("rebuild registry: {made} restored, {} known", found - made));
    Ok(Exit::Done)
}
