//! Faults that a test orders for a fake's next calls, and the record of the calls that were made.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::port::PortError;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It isn't made: the part can't be reached.
    Unavailable,
    /// It isn't made: the part refuses.
    Refused,
    /// It is made, but its answer gets lost: to the caller the part was unavailable.
    AnswerLost,
}

/// The faults and calls of one fake.
#[derive(Debug)]
pub struct Faults {
    part: &'static str,
    methods: &'static [&'static str],
    ordered: Mutex<Vec<(&'static str, VecDeque<Fault>)>>,
    calls: Mutex<Vec<&'static str>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faults {
    pub(crate) fn new(part: &'static str, methods: &'static [&'static str]) -> Self {
        Self {
            part,
            methods,
            ordered: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    /// Orders a fault for each of the next `times` calls of a method of the port.
    ///
    /// # Panics
    /// If the port has no such method: the fault would never come.
    pub fn order(&self, method: &'static str, times: usize, fault: Fault) {
        let known = self.methods.contains(&method);
        assert!(known, "`{method}` is none of {:?}", self.methods);
        lock(&self.ordered).push((method, std::iter::repeat_n(fault, times).collect()));
    }

    /// The calls made so far, by method, in their order, those that failed included.
    pub fn calls(&self) -> Vec<&'static str> {
        lock(&self.calls).clone()
    }

    /// How often a method was called.
    pub fn count(&self, method: &str) -> usize {
        lock(&self.calls).iter().filter(|call| **call == method).count()
    }

    /// Begins a call. Its effect is to be made unless this fails; [`Call::answer`] ends it.
    pub(crate) fn begin(&self, method: &'static str) -> Result<Call, PortError> {
        lock(&self.calls).push(method);
        let fault = lock(&self.ordered)
            .iter_mut()
            .filter(|(name, _)| *name == method)
            .find_map(|(_, faults)| faults.pop_front());
        match fault {
            Some(Fault::Refused) => Err(PortError::Refused {
                part: self.part,
                reason: format!("the test refuses `{method}`"),
            }),
            Some(Fault::Unavailable) => Err(self.unavailable(method)),
            Some(Fault::AnswerLost) => Ok(Call(Err(self.unavailable(method)))),
            None => Ok(Call(Ok(()))),
        }
    }

    fn unavailable(&self, method: &str) -> PortError {
        PortError::Unavailable {
            part: self.part,
            reason: format!("the test takes `{method}` away"),
            retry_after_ms: None,
        }
    }
}

/// A call on its way.
pub(crate) struct Call(Result<(), PortError>);

impl Call {
    /// The answer, or its loss.
    pub(crate) fn answer<T, E: From<PortError>>(self, answer: T) -> Result<T, E> {
        self.0?;
        Ok(answer)
    }
}
