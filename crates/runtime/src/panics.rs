//! Panics of a process: the log says where one was.
//! Promise: the line and the thread are named, what the panic said is not: it may be what somebody wrote.
//! Not here: catching panics (`lane`, `supervise`, the machines).

/// From now on the process logs where a panic was, and prints nothing of it. The line is of the node whose task
/// panicked, as every line is.
pub fn log_places() {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        let thread = std::thread::current();
        tracing::error!(
            at = at.as_deref().unwrap_or("an unknown place"),
            thread = thread.name().unwrap_or("a thread without a name"),
            "a panic"
        );
    }));
}
