//! What a process says of a panic: the hook is the process's own, so that this claim has a process to itself.

use std::io;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("no panic while it is held")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_log_names_the_line_of_a_panic_and_nothing_that_it_said() {
    let memory = Memory::default();
    let out = memory.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || out.clone())
        .finish();
    runtime::panics::log_places();
    let said = "what a customer wrote";
    let line = line!() + 2;
    let caught = tracing::subscriber::with_default(subscriber, || {
        catch_unwind(|| panic!("a defect at {said}"))
    });
    assert!(caught.is_err());
    let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains(&format!("panics.rs:{line}:")), "{text}");
    assert!(!text.contains(said), "{text}");
}
