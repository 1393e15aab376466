//! One at a time, in the order of arrival, inside one shard.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Lets one task through at a time. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    state: Rc<RefCell<State>>,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    next_ticket: u64,
    /// Bounded by the number of tasks that wait.
    waiting: VecDeque<(u64, Waker)>,
}

impl State {
    fn wake_first(&self) {
        if !self.taken
            && let Some((_, waker)) = self.waiting.front()
        {
            waker.wake_by_ref();
        }
    }
}

impl Gate {
    /// Waits for its turn. Dropping the future gives the turn up.
    pub fn enter(&self) -> Enter {
        Enter { gate: self.clone(), ticket: None }
    }
}

/// The future of [`Gate::enter`].
#[derive(Debug)]
pub struct Enter {
    gate: Gate,
    ticket: Option<u64>,
}

/// The turn; the next one begins when it is dropped.
#[derive(Debug)]
pub struct Turn {
    gate: Gate,
}

impl Future for Enter {
    type Output = Turn;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Turn> {
        let gate = self.gate.clone();
        let mut state = gate.state.borrow_mut();
        let is_first = match (state.waiting.front(), self.ticket) {
            (None, _) => true,
            (Some((first, _)), mine) => Some(*first) == mine,
        };
        if is_first && !state.taken {
            if self.ticket.take().is_some() {
                state.waiting.pop_front();
            }
            state.taken = true;
            drop(state);
            return Poll::Ready(Turn { gate });
        }
        if let Some(ticket) = self.ticket {
            if let Some((_, waker)) = state.waiting.iter_mut().find(|(t, _)| *t == ticket) {
                waker.clone_from(context.waker());
            }
        } else {
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            state.waiting.push_back((ticket, context.waker().clone()));
            self.ticket = Some(ticket);
        }
        Poll::Pending
    }
}

impl Drop for Enter {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let mut state = self.gate.state.borrow_mut();
            state.waiting.retain(|(t, _)| *t != ticket);
            state.wake_first();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.gate.state.borrow_mut();
        state.taken = false;
        state.wake_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    fn poll(enter: &mut Pin<Box<Enter>>) -> Option<Turn> {
        let waker = Waker::from(Arc::new(Nobody));
        match enter.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn turns_come_in_order_of_arrival() {
        let gate = Gate::default();
        let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(gate.enter())).collect();
        let first = poll(&mut waiting[0]).expect("nobody was there");
        assert!((1..4).all(|n| poll(&mut waiting[n]).is_none()));
        drop(first);
        assert!(poll(&mut waiting[2]).is_none(), "the second is first");
        drop(waiting.remove(1));
        let second = poll(&mut waiting[1]).expect("the one before gave up");
        assert!(poll(&mut waiting[2]).is_none());
        drop(second);
        assert!(poll(&mut Box::pin(gate.enter())).is_none(), "a newcomer does not overtake");
        assert!(poll(&mut waiting[2]).is_some());
    }
}
