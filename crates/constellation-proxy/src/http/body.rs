//! Bodies: what a backend answers on its way to the client, and what a client sends, kept for a second try.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    HeaderMap,
    body::{Body, Frame, Incoming, SizeHint},
};
use tokio::time::Sleep;

use super::upstream::Answer;

/// What goes to the client.
pub(super) enum ProxyBody {
    /// Nothing.
    Empty,
    /// What the proxy itself says.
    Text(Option<Bytes>),
    /// What a backend says.
    Upstream(Answer),
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Upstream(answer) => answer.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.is_none(),
            Self::Upstream(answer) => answer.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Upstream(answer) => answer.size_hint(),
        }
    }
}

/// What is wrong with a client's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyFault {
    #[error("the client's body is too long")]
    TooLarge,
    #[error("the client's body did not come in time")]
    Stalled,
    #[error("the client's body broke off")]
    Broken,
}

/// A client's body, read once and kept while it is short enough.
pub(super) struct Recorder {
    source: Option<Incoming>,
    kept: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    kept_bytes: usize,
    keep_max: usize,
    seen_bytes: u64,
    bytes_max: u64,
    /// Whether something that was passed on is no longer here.
    gone: bool,
    fault: Option<BodyFault>,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Recorder {
    pub(super) fn new(source: Incoming, keep_max: usize, bytes_max: Option<u64>, patience: Duration) -> Self {
        Self {
            source: Some(source),
            kept: Vec::new(),
            trailers: None,
            kept_bytes: 0,
            keep_max,
            seen_bytes: 0,
            bytes_max: bytes_max.unwrap_or(u64::MAX),
            gone: false,
            fault: None,
            patience,
            stalled: None,
        }
    }

    /// Whether it can be sent from its beginning.
    pub(super) const fn is_whole(&self) -> bool {
        !self.gone && self.fault.is_none()
    }

    pub(super) const fn fault(&self) -> Option<BodyFault> {
        self.fault
    }

    fn fail(&mut self, fault: BodyFault) -> BodyFault {
        self.fault = Some(fault);
        self.source = None;
        fault
    }

    /// The next part from the client.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if let Some(fault) = self.fault {
            return Poll::Ready(Some(Err(fault)));
        }
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        let frame = match Pin::new(source).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let patience = self.patience;
                let timer = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                if timer.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Some(Err(self.fail(BodyFault::Stalled))));
                }
                return Poll::Pending;
            }
        };
        self.stalled = None;
        match frame {
            None => {
                self.source = None;
                Poll::Ready(None)
            }
            Some(Err(_)) => Poll::Ready(Some(Err(self.fail(BodyFault::Broken)))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.seen_bytes = self.seen_bytes.saturating_add(data.len() as u64);
                    if self.seen_bytes > self.bytes_max {
                        return Poll::Ready(Some(Err(self.fail(BodyFault::TooLarge))));
                    }
                    self.keep(&data);
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    self.trailers = Some(trailers.clone());
                    Poll::Ready(Some(Ok(Frame::trailers(trailers))))
                }
            },
        }
    }

    fn keep(&mut self, data: &Bytes) {
        self.kept_bytes = self.kept_bytes.saturating_add(data.len());
        if self.gone || self.kept_bytes > self.keep_max {
            self.gone = true;
            self.kept.clear();
        } else {
            self.kept.push(data.clone());
        }
    }
}

/// What goes to a backend.
pub(super) enum RequestBody {
    /// Nothing.
    Empty,
    /// The client's body from its beginning: first what is kept, then what comes.
    Replay(Replay),
}

/// One reading of a recorded body.
pub(super) struct Replay {
    recorder: Rc<RefCell<Recorder>>,
    next: usize,
    /// Whether what is kept was passed on, so that the rest comes from the client.
    live: bool,
}

impl RequestBody {
    pub(super) fn replay(recorder: &Rc<RefCell<Recorder>>) -> Self {
        Self::Replay(Replay { recorder: Rc::clone(recorder), next: 0, live: false })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let Self::Replay(replay) = self.get_mut() else { return Poll::Ready(None) };
        let mut recorder = replay.recorder.borrow_mut();
        if !replay.live {
            if let Some(data) = recorder.kept.get(replay.next) {
                replay.next += 1;
                return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
            }
            replay.live = true;
            if let Some(trailers) = recorder.trailers.clone() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
        }
        recorder.poll_source(cx)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            // How long it is is said by the header that the client sent, where it knew.
            Self::Replay(_) => SizeHint::default(),
        }
    }
}
