import type { Server, Socket } from 'node:net';

/** Returns the server that accepted a connection. Node does not document this member. */
export function serverOf(socket: Socket): Server | undefined {
  return (socket as { readonly server?: Server | null }).server ?? undefined;
}
