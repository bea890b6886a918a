/**
 * The end of a connection whose request was answered before its body was there. Its client may still be sending: if the
 * socket were closed now, what arrives would be answered with a reset, and on the client's side a reset overtakes a reply
 * that has not been read. So first only our half is closed, behind the reply. What still comes is dropped, and is never
 * parsed: a client that was told `Connection: close` must not find that a later request was done. When the client has
 * closed its half too, or `lingerMs` later, the socket is closed.
 */
import type { Socket } from 'node:net';
import { systemAfter } from '../../../shared/clock.ts';
import { onSocketClose } from './on-socket-close.ts';

/** For a client to hear that it is over, with a slow network in between. */
const lingerMs = 1000;

/** Behind the last reply, which says `Connection: close`, Node calls `destroySoon`; from now on it does this instead. */
export function closeLingering(socket: Socket): void {
  socket.destroySoon = () => {
    socket.end();
    // Also takes the socket away from the parser, which reads past JavaScript as long as nobody listens.
    socket.removeAllListeners('data').on('data', drop);
    onSocketClose(
      socket,
      systemAfter(lingerMs, () => socket.destroy()),
    );
  };
}

function drop(): void {
  // Nobody waits for it.
}
