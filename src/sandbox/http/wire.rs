//! Connections: read a request, ask the fault plan, answer or misbehave.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{Fault, Logged, Reply, Request, Shared};

/// Accept connections for ever. They live in this task's set, so that aborting it closes them all.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(serve(stream, shared.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let reset = Arc::new(Notify::new());
    let service = service_fn(|request| answer(request, shared.clone(), reset.clone()));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let reset_asked = tokio::select! {
        _ = &mut connection => false,
        () = reset.notified() => true,
    };
    if reset_asked {
        // Without lingering the close is a reset (RST), which a client sees as "connection reset by peer".
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    shared: Arc<Shared>,
    reset: Arc<Notify>,
) -> Result<Response<Sent>, hyper::Error> {
    let (head, body) = request.into_parts();
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    };
    let fault = shared.faults.lock().expect("no panic while planning").next(&request);
    let entry = {
        let mut log = shared.log.lock().expect("no panic while logging");
        let at = shared.clock.now();
        log.push(Logged { at, request: request.clone(), status: None, faulted: fault.is_some() });
        log.len() - 1
    };

    let mut cut = None;
    let mut reply = match &fault {
        Some(Fault::Reply(reply)) => reply.clone(),
        Some(Fault::Reset) => hang_up(&reset).await,
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Delay(wait)) => {
            tokio::time::sleep(*wait).await;
            (shared.handler)(request).await
        }
        _ => (shared.handler)(request).await,
    };
    match fault {
        Some(Fault::LoseAnswer) => hang_up(&reset).await,
        Some(Fault::CutBody(keep)) => cut = Some(keep),
        Some(Fault::BrokenBody(keep)) => reply.body.truncate(keep),
        Some(Fault::ContentType(content_type)) => {
            reply.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            reply = reply.with("Content-Type", content_type);
        }
        _ => {}
    }
    // The log may have been cleared meanwhile.
    if let Some(logged) = shared.log.lock().expect("no panic while logging").get_mut(entry) {
        logged.status = cut.is_none().then_some(reply.status);
    }
    Ok(response(reply, cut))
}

/// Have the connection reset, and wait for it to take this very request with it.
async fn hang_up<T>(reset: &Notify) -> T {
    reset.notify_one();
    std::future::pending().await
}

fn response(reply: Reply, cut: Option<usize>) -> Response<Sent> {
    let length = reply.body.len() as u64;
    let body = match cut {
        None => Sent::Whole(Some(reply.body)),
        Some(keep) => Sent::Cut { part: Some(reply.body.slice(..keep.min(reply.body.len()))), length, pause: None },
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).expect("a handler answers with a real status");
    for (name, value) in reply.headers {
        let name = hyper::header::HeaderName::try_from(name).expect("a handler sends real header names");
        response.headers_mut().append(name, value.try_into().expect("a handler sends printable headers"));
    }
    response
}

/// A body, whole or cut short of the length it announces.
enum Sent {
    Whole(Option<Bytes>),
    Cut { part: Option<Bytes>, length: u64, pause: Option<Pin<Box<tokio::time::Sleep>>> },
}

impl Body for Sent {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Sent::Whole(body) => Poll::Ready(body.take().map(|bytes| Ok(Frame::data(bytes)))),
            Sent::Cut { part, pause, .. } => {
                if let Some(bytes) = part.take() {
                    // A pause first, or hyper would throw the part away together with the connection.
                    *pause = Some(Box::pin(tokio::time::sleep(Duration::from_millis(20))));
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                if let Some(sleep) = pause
                    && sleep.as_mut().poll(cx).is_pending()
                {
                    return Poll::Pending;
                }
                Poll::Ready(Some(Err(std::io::Error::other("cut short on purpose"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Sent::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Sent::Whole(body) => body.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Sent::Cut { length, .. } => *length,
        })
    }
}
