/**
 * How many connections may be open, in all and from one address. Each is an open file, and without a file the journal
 * cannot go on; so connections end before files do (main/open-files.ts). Limits hold for all front ends together.
 *
 * Addresses are counted by two hashes, in two rows of cells. An address is over the limit when both of its cells are,
 * so that two addresses share a limit only when both hashes collide. An IPv6 network of 64 bits counts as one address,
 * because a client has all of it.
 *
 * A connection too many gets a complete reply to its first request, 503 `overloaded` with `Connection: close`: a client
 * takes that better than a connection that breaks. Only so many are answered at a time, and each has a second; those
 * beyond are closed at once, or refusing them would take as many files as serving them.
 */
import { isIPv6, type Socket } from 'node:net';
import { failure, type Failure } from '../../../protocol/errors.ts';
import { systemAfter } from '../../../shared/clock.ts';
import { SharedCount, sharedCountBytes } from '../../../shared/shared-count.ts';
import { onSocketClose } from './on-socket-close.ts';

export interface ConnectionLimitsOptions {
  readonly limits: { readonly connections_max: number; readonly connections_per_address_max: number };
  /** @returns a whole reply that closes the connection; empty: it is closed without one */
  readonly reply: (refused: Failure, socket: Socket) => string;
}

const rowCells = 65_536;
const refusalsMax = 64;
const refusalMs = 1000;

export class ConnectionLimits {
  readonly #options: ConnectionLimitsOptions;
  readonly #total: SharedCount;
  readonly #cells: Int32Array<SharedArrayBuffer>;
  #refusals = 0;

  constructor(memory: SharedArrayBuffer, options: ConnectionLimitsOptions) {
    this.#options = options;
    this.#total = new SharedCount(memory, 0);
    this.#cells = new Int32Array(memory, sharedCountBytes);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(sharedCountBytes + 2 * rowCells * Int32Array.BYTES_PER_ELEMENT);
  }

  /** Counts a new connection until it closes, or refuses it. Call before any of its input is read. */
  admit(socket: Socket): void {
    const { connections_max: most, connections_per_address_max: mostPerAddress } = this.#options.limits;
    if (!this.#total.take(most)) {
      return this.#refuse(socket, `The server has ${most} open connections, its limit; try again later.`);
    }
    const [first, second] = cellsOf(networkOf(socket.remoteAddress ?? ''));
    const before = Math.min(Atomics.add(this.#cells, first, 1), Atomics.add(this.#cells, second, 1));
    const leave = (): void => {
      this.#total.give();
      Atomics.sub(this.#cells, first, 1);
      Atomics.sub(this.#cells, second, 1);
    };
    if (before < mostPerAddress) return onSocketClose(socket, leave);
    leave();
    this.#refuse(socket, `This address has ${mostPerAddress} open connections, its limit; close some.`);
  }

  #refuse(socket: Socket, message: string): void {
    const reply = this.#options.reply(failure('overloaded', message), socket);
    if (this.#refusals >= refusalsMax || reply === '') return void socket.destroy();
    this.#refusals += 1;
    const endWait = systemAfter(refusalMs, () => socket.destroy());
    onSocketClose(socket, () => {
      this.#refusals -= 1;
      endWait();
    });
    // A listener also takes the socket away from the parser. A client may be confused by a reply before its request.
    socket.removeAllListeners('data').on('data', () => {
      // The rest of the request is dropped, and read, or the kernel would reset the connection before the reply is read.
      if (!socket.writableEnded) socket.end(reply);
    });
  }
}

/** `::ffff:192.0.2.1` is `192.0.2.1`; of another IPv6 address the first four groups. */
function networkOf(address: string): string {
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('%', 1)[0]!.split('::');
  const groups = head === '' ? [] : head.split(':');
  const rest = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - groups.length - rest.length }, () => '0');
  return [...groups, ...zeros, ...rest].slice(0, 4).join(':');
}

/** FNV-1a with two starting values. */
function cellsOf(network: string): [number, number] {
  let first = 0x811c9dc5;
  let second = 0x12345679;
  for (let i = 0; i < network.length; i += 1) {
    first = Math.imul(first ^ network.charCodeAt(i), 0x01000193);
    second = Math.imul(second ^ network.charCodeAt(i), 0x01000193);
  }
  return [mixed(first), rowCells + mixed(second)];
}

function mixed(hash: number): number {
  return ((hash >>> 16) ^ hash) & (rowCells - 1);
}
