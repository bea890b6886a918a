/**
 * Closes a connection whose request was answered before its body had arrived. The client may still be sending: if we
 * closed the socket now, the kernel would answer its data with a reset, and a reset makes a client lose a reply that it
 * has not read yet. So we first close only our half, after the reply. Further input is dropped and never parsed: a
 * client that was told `Connection: close` must not find that a later request was done. The socket is closed when the
 * client has closed its half too, or after `lingerMs`.
 */
import type { Socket } from 'node:net';
import { systemAfter } from '../../../shared/clock.ts';
import { onSocketClose } from './on-socket-close.ts';

/** Enough for a client on a slow network to read the reply. */
const lingerMs = 1000;

/** Replaces `destroySoon`, which Node calls after the last reply, the one that says `Connection: close`. */
export function closeLingering(socket: Socket): void {
  socket.destroySoon = () => {
    socket.end();
    // A listener also takes the socket away from the parser, which otherwise reads without JavaScript.
    socket.removeAllListeners('data').on('data', drop);
    onSocketClose(
      socket,
      systemAfter(lingerMs, () => socket.destroy()),
    );
  };
}

function drop(): void {
  // No request waits for it.
}
