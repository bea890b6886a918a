/**
 * Word that a socket has closed, without a listener. For each reply Node's HTTP server puts a `close` listener of its own
 * on the socket, and takes it off behind the reply. With another one beside it, V8 kept most of what requests left behind:
 * once the connections of a first crowd of clients had closed, half of all later garbage was promoted before it was found
 * to be some, and a fifth of the rate was gone for good (docs/decisions/0022-no-close-listeners.md).
 *
 * A socket is closed by `destroy`, whoever calls it, and what implements that is `_destroy`, which streams are meant to
 * override.
 */
import { Socket } from 'node:net';

/** Calls behind whatever destroys the socket, never within it. */
export function onSocketClose(socket: Socket, run: () => void): void {
  // A request that was injected has no real socket.
  if (!(socket instanceof Socket)) return void (socket as Socket).once('close', run);
  // oxlint-disable no-underscore-dangle -- that is what the method is called
  const destroy = socket._destroy.bind(socket);
  socket._destroy = (error, done) => {
    destroy(error, done);
    process.nextTick(run);
  };
  // oxlint-enable no-underscore-dangle
}
