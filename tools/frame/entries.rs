//! Services of the registry as they are named on command lines, for the tools that work on them by name.

use procherd::error::{Error, Kind, Result};
use procherd::registry::{Document, Registry, Scope, Service};

use super::args::ScopeArgs;

/// Finds a service by name. That it is not there is an error of the kind `Gone`, which says where else it is.
pub fn find(registry: &Registry, document: &Document, name: &str, scope: &ScopeArgs) -> Result<Service> {
    let scope = scope.choice().for_name(document, name)?;
    match document.find(name, scope.as_ref())? {
        Some(service) => Ok(service),
        None => Err(absent(registry, document, name, scope.as_ref())),
    }
}

/// The error for a name that is not registered.
pub fn absent(registry: &Registry, document: &Document, name: &str, scope: Option<&Scope>) -> Error {
    let others: Vec<String> =
        document.services().filter(|entry| entry.name == name).map(|entry| entry.scope.flags()).collect();
    let why = match (scope, others.is_empty()) {
        (Some(scope), true) => format!("not registered ({scope})"),
        (Some(scope), false) => format!("not registered ({scope}); try {}", others.join(", ")),
        (None, _) if registry.exists() => "not registered".to_owned(),
        (None, _) => format!("not registered; there is no registry yet at {}", registry.path().display()),
    };
    Error::new(Kind::Gone, "find service", name, why)
}

/// Tells whether a service belongs to a scope: by its place in the registry, or by a field beside it.
pub fn belongs(service: &Service, scope: Option<&Scope>) -> bool {
    match scope {
        None => true,
        Some(Scope::Global) => service.scope == Scope::Global,
        Some(Scope::Project(path)) => service.project().as_ref() == Some(path),
        Some(Scope::Session(id)) => service.session().as_ref() == Some(id),
    }
}
