//! A connection to a backend over HTTP/1.1. It is no task of its own: whoever waits for its answer moves it along, and then
//! whoever passes the answer on. So a request costs no hand-over between tasks, and an idle connection costs nothing.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use constellation_core::Moment;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;

use super::{body::RequestBody, ears::Ears, secure::Link, upstream::Unanswered};

/// What is accepted of a backend before its head is a fault, in bytes.
const HEAD_BYTES_MAX: usize = 128 * 1024;

type Connection = Pin<Box<http1::Connection<TokioIo<Link>, RequestBody>>>;

/// A connection over HTTP/1.1.
pub(super) struct H1 {
    sender: http1::SendRequest<RequestBody>,
    /// `None` once it has ended.
    connection: Option<Connection>,
    /// Of the connection.
    moving: Ears,
    /// Of the answer that comes over it, first its head and then its body.
    waiting: Ears,
    pub(super) since: Moment,
}

impl H1 {
    pub(super) async fn open(link: Link, since: Moment) -> Result<Self, hyper::Error> {
        let (sender, connection) =
            http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(link)).await?;
        let (moving, waiting) = (Ears::default(), Ears::default());
        Ok(Self { sender, connection: Some(Box::pin(connection)), moving, waiting, since })
    }

    /// Moves it along. Whoever waits for the answer looks for it afterwards.
    fn drive(&mut self, cx: &Context<'_>) {
        let Self { connection, moving, waiting, .. } = self;
        if let Some(open) = connection
            && waiting.deaf_to(|| moving.poll(cx, |cx| open.as_mut().poll(cx))).is_ready()
        {
            *connection = None;
        }
    }

    /// Whether it can take a request now, after a look at what has come.
    pub(super) fn is_ready(&mut self, cx: &Context<'_>) -> bool {
        self.drive(cx);
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Whether it can take a request after the answer that was just read. Mostly it has seen the end of that together with its last
    /// part.
    pub(super) fn takes_another(&mut self) -> bool {
        self.sender.is_ready() || self.is_ready(&Context::from_waker(Waker::noop()))
    }

    pub(super) async fn ask(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        // The connection is told, and moved along in the same breath.
        let asked = self.moving.deaf_to(|| self.sender.try_send_request(request));
        let mut answer = std::pin::pin!(asked);
        let answered = poll_fn(|cx| {
            self.drive(cx);
            self.waiting.poll(cx, |cx| answer.as_mut().poll(cx))
        });
        answered.await.map_err(|mut error| match error.take_message() {
            Some(request) => Unanswered::unsent(error.error(), false, request),
            None => Unanswered::broken(error.error()),
        })
    }

    /// The next part of the answer. Parts are handed over one by one: taking one makes room for the next, which the connection can
    /// then bring at once.
    pub(super) fn poll_frame(
        &mut self,
        cx: &Context<'_>,
        incoming: &mut Incoming,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.drive(cx);
        let Self { moving, waiting, .. } = self;
        // It tells the connection that there is room. That is heard right below, or by the next call.
        let first = moving.deaf_to(|| waiting.poll(cx, |cx| Pin::new(&mut *incoming).poll_frame(cx)));
        if first.is_ready() {
            return first;
        }
        self.drive(cx);
        self.waiting.poll(cx, |cx| Pin::new(incoming).poll_frame(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use tokio::net::TcpStream;

    use super::{
        super::secure::{self, Offer},
        *,
    };

    /// Counts how often a task is woken.
    struct Counted {
        wakes: AtomicUsize,
        task: Waker,
    }

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.wakes.fetch_add(1, Ordering::SeqCst);
            self.task.wake_by_ref();
        }
    }

    /// Asks once and reads the whole answer. How often whoever does it is woken meanwhile.
    async fn wakes_of_a_request(connection: &mut H1) -> usize {
        let task = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let counted = Arc::new(Counted { wakes: AtomicUsize::new(0), task });
        let waker = Waker::from(Arc::clone(&counted));
        // As at the end of a request before: the connection would wake whoever had it last.
        assert!(connection.is_ready(&Context::from_waker(&waker)));
        let mut asking = Box::pin(async {
            let request = Request::get("/").header("host", "a").body(RequestBody::Empty).unwrap();
            let Ok(response) = connection.ask(request).await else { panic!("no answer") };
            let mut incoming = response.into_body();
            while !incoming.is_end_stream() {
                connection.next(&mut incoming).await;
            }
        });
        poll_fn(|_| asking.as_mut().poll(&mut Context::from_waker(&waker))).await;
        counted.wakes.load(Ordering::SeqCst)
    }

    impl H1 {
        async fn next(&mut self, incoming: &mut Incoming) {
            let frame = poll_fn(|cx| self.poll_frame(cx, incoming)).await;
            assert!(frame.unwrap().unwrap().is_data());
        }
    }

    /// Answers every request, each in one piece. Elsewhere, so that only what it answers wakes the task that asks.
    fn serve(mut client: impl Read + Write) {
        let mut head = [0; 1024];
        while client.read(&mut head).is_ok_and(|count| count > 0) {
            client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").unwrap();
        }
    }

    #[tokio::test]
    async fn whoever_asks_is_woken_by_the_answer_and_by_nothing_else() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let backend = std::thread::spawn(move || serve(listener.accept().unwrap().0));
        let mut connection = H1::open(Link::Plain(stream), Moment::default()).await.unwrap();
        for _ in 0..3 {
            assert_eq!(wakes_of_a_request(&mut connection).await, 1);
        }
        drop(connection);
        backend.join().unwrap();
    }

    #[tokio::test]
    async fn over_tls_too_once_the_session_tickets_have_come() {
        let (server, dialer) = secure::tests::pair("web.test");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let peer = secure::tests::named(listener.local_addr().unwrap(), "web.test");
        let backend = std::thread::spawn(move || {
            let session = rustls::ServerConnection::new(server).unwrap();
            serve(rustls::StreamOwned::new(session, listener.accept().unwrap().0));
        });
        let link = dialer.connect(&peer, Offer::Http1, std::time::Duration::from_secs(10)).await.unwrap();
        let mut connection = H1::open(link, Moment::default()).await.unwrap();
        wakes_of_a_request(&mut connection).await;
        for _ in 0..3 {
            assert_eq!(wakes_of_a_request(&mut connection).await, 1);
        }
        drop(connection);
        backend.join().unwrap();
    }
}
