//! A client's connection over HTTP/1.1 from one request to the next. While it says nothing it costs no buffers: hyper keeps 16 KiB
//! for each connection, which is much where thousands of clients keep one each and say little.

use std::{
    cell::Cell,
    convert::Infallible,
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Request,
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::Sleep,
};

use super::{
    body::ProxyBody,
    config::Limits,
    guarded::{Guarded, Signs},
    handle::{self, Client},
    serve::{early, until_told},
    worker::{Counters, Worker},
};

/// Between two looks at whether a connection may rest; it does after one to two of them.
const REST_AFTER: Duration = Duration::from_millis(20);
/// Fields of a head that hyper keeps on its stack; asking for the same number by name would cost memory for each request.
const HEADERS_ON_STACK: usize = 100;

/// A connection that nobody serves. A pointer: what a connection is while it rests should be little.
type Silent<S> = Box<Guarded<S>>;

/// Serves a connection to its end. Whenever it is silent, what served it is put away, and made anew for the next request.
pub(super) async fn speak<S>(worker: &Rc<Worker>, stream: S, client: Rc<Client>) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &worker.shared.config.limits;
    let mut stream = Box::new(Guarded::new(stream, limits.write_timeout));
    loop {
        let Some(silent) = awake(worker, stream, &client).await? else { return Ok(()) };
        stream = silent;
        let resting = Resting::new(&worker.counters);
        let heard = early(&worker.shared.closing, limits.head_timeout, pin!(stream.hear())).await;
        drop(resting);
        match heard {
            Some(Ok(true)) => {}
            Some(Ok(false)) | None => {
                // Its client has gone, or has been silent for too long; who does not take the end is not waited for.
                let _ = stream.shutdown().await;
                return Ok(());
            }
            Some(Err(_)) => return Ok(()),
        }
    }
}

/// Serves requests until the connection ends, or is silent: then it is returned.
fn awake<'a, S>(
    worker: &'a Rc<Worker>,
    stream: Silent<S>,
    client: &'a Rc<Client>,
) -> Pin<Box<impl Future<Output = Result<Option<Silent<S>>, hyper::Error>> + use<'a, S>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // In memory of its own, which is free while the connection rests.
    Box::pin(async move {
        let Limits { head_timeout, head_bytes_max, headers_max, .. } = worker.shared.config.limits;
        let work = Rc::new(Work { signs: stream.signs(), ..Work::default() });
        let service = service_fn(|request: Request<Incoming>| {
            let (worker, client) = (Rc::clone(worker), Rc::clone(client));
            let under_way = UnderWay::new(&work);
            // An idle connection keeps room for a request's future; for a pointer it is little.
            Box::pin(async move {
                let response = handle::answer(worker, client, request).await;
                Ok::<_, Infallible>(response.map(|body| Served { body, _under_way: under_way }))
            })
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            // No flushing by pipeline: with it, an answer to what is malformed stays where it is.
            .max_buf_size(head_bytes_max.max(8192));
        if headers_max != HEADERS_ON_STACK {
            builder.max_headers(headers_max);
        }
        let mut connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut lull = Lull::new(&work);
        let ended = until_told(
            Pin::new(&mut connection),
            &worker.shared.closing,
            http1::UpgradeableConnection::graceful_shutdown,
            |cx| lull.has_come(cx),
        )
        .await;
        if let Some(ended) = ended {
            return ended.map(|()| None);
        }
        Ok(connection.into_parts().map(|parts| {
            let mut stream = parts.io.into_inner();
            // The beginning of a request that came with the end of the last; a copy, because also an empty part of a buffer keeps all
            // of it.
            stream.keep(Bytes::copy_from_slice(&parts.read_buf));
            stream
        }))
    })
}

/// The requests of one connection.
#[derive(Default)]
struct Work {
    /// Those that are not answered whole.
    under_way: Cell<usize>,
    /// Whether one was answered since the last look: whoever asks again and again is not put away in between.
    stirred: Cell<bool>,
    signs: Arc<Signs>,
}

/// A request that is not answered whole, counted.
struct UnderWay(Rc<Work>);

impl UnderWay {
    fn new(work: &Rc<Work>) -> Self {
        work.under_way.set(work.under_way.get() + 1);
        Self(Rc::clone(work))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Work { under_way, stirred, signs } = &*self.0;
        under_way.set(under_way.get().saturating_sub(1));
        stirred.set(true);
        signs.heed();
    }
}

/// An answer's body; while there is one, its request is under way.
struct Served {
    body: ProxyBody,
    _under_way: UnderWay,
}

impl Body for Served {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Notices that nothing goes on, by a look now and then, so that requests cost nothing for it.
struct Lull<'a> {
    work: &'a Work,
    next_look: Pin<Box<Sleep>>,
}

impl<'a> Lull<'a> {
    fn new(work: &'a Work) -> Self {
        Self { work, next_look: Box::pin(tokio::time::sleep(REST_AFTER)) }
    }

    /// Whether no request was under way, and none was answered, from one look to the next, and nothing of another has come: then hyper
    /// holds nothing but what it has read, and that it gives back.
    fn has_come(&mut self, cx: &mut Context<'_>) -> bool {
        while self.next_look.as_mut().poll(cx).is_ready() {
            let Work { under_way, stirred, signs } = self.work;
            if !stirred.replace(false) && under_way.get() == 0 && signs.is_silent() {
                return true;
            }
            self.next_look.set(tokio::time::sleep(REST_AFTER));
        }
        false
    }
}

/// A connection that rests, counted.
struct Resting<'a>(&'a Counters);

impl<'a> Resting<'a> {
    fn new(counters: &'a Counters) -> Self {
        counters.resting.fetch_add(1, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.0.resting.fetch_sub(1, Ordering::Relaxed);
    }
}
