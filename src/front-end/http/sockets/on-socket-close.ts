/**
 * Detects that a socket has closed, without a listener. For each reply Node's HTTP server adds a `close` listener to
 * the socket, and removes it after the reply. With a second listener, V8 kept most garbage of requests alive: after the
 * first clients had closed their connections, V8 promoted half of all later garbage, and a fifth of the rate was lost
 * for good (docs/decisions/0022-no-close-listeners.md).
 *
 * `destroy` closes a socket, whoever calls it. Its implementation is `_destroy`, which streams are meant to override.
 */
import { Socket } from 'node:net';

/** Calls `run` after the call that destroys the socket, never within it. */
export function onSocketClose(socket: Socket, run: () => void): void {
  // An injected request has no real socket.
  if (!(socket instanceof Socket)) return void (socket as Socket).once('close', run);
  // oxlint-disable no-underscore-dangle -- it is the name of the method
  const destroy = socket._destroy.bind(socket);
  socket._destroy = (error, done) => {
    destroy(error, done);
    process.nextTick(run);
  };
  // oxlint-enable no-underscore-dangle
}
