/**
 * Replies in RESP2 and RESP3. Everything is text in which each character is one byte (latin1), so that the replies of a
 * turn are joined and leave in one write. A command asks for what it means, such as a map or nothing; how that is
 * written depends on the protocol that the client has chosen with HELLO.
 */

/** Bytes, each as one character, of text that may have any characters. */
export function bytesOf(text: string): string {
  return isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

// oxlint-disable-next-line no-control-regex -- it asks for just these
const ascii = /^[\0-\x7f]*$/;

export function isAscii(text: string): boolean {
  return ascii.test(text);
}

export const ok = '+OK\r\n';

/** @param status one line of ASCII */
export function simple(status: string): string {
  return `+${status}\r\n`;
}

/** @param message begins with its code in capital letters: `ERR no such key` */
export function errorText(message: string): string {
  return errorOfBytes(bytesOf(message));
}

/** As `errorText`, of what is bytes already. */
export function errorOfBytes(message: string): string {
  return `-${message.replaceAll(/[\r\n]+/g, ' ')}\r\n`;
}

export function integer(value: number): string {
  return `:${value}\r\n`;
}

/** @param bytes each character one byte; see `bytesOf` */
export function bulk(bytes: string): string {
  return `$${bytes.length}\r\n${bytes}\r\n`;
}

/** @param items finished replies */
export function array(items: readonly string[]): string {
  // Without `join`, which would copy all of a large reply once more.
  let text = `*${items.length}\r\n`;
  for (const item of items) text += item;
  return text;
}

export class Writer {
  readonly protocol: 2 | 3;
  /** There is no value. */
  readonly nil: string;
  /** There is no list, as when EXEC did nothing. */
  readonly nilArray: string;

  constructor(protocol: 2 | 3) {
    this.protocol = protocol;
    this.nil = protocol === 3 ? '_\r\n' : '$-1\r\n';
    this.nilArray = protocol === 3 ? '_\r\n' : '*-1\r\n';
  }

  /** @param members finished replies: name, value, name, value … */
  map(members: readonly string[]): string {
    return this.protocol === 3 ? `%${members.length / 2}\r\n${members.join('')}` : array(members);
  }

  /** @param members finished replies by their names, in ASCII */
  fields(members: Readonly<Record<string, string>>): string {
    return this.map(Object.entries(members).flatMap(([name, value]) => [bulk(name), value]));
  }

  set(items: readonly string[]): string {
    return this.protocol === 3 ? `~${items.length}\r\n${items.join('')}` : array(items);
  }

  /** Text for people. */
  verbatim(bytes: string): string {
    return this.protocol === 3 ? `=${bytes.length + 4}\r\ntxt:${bytes}\r\n` : bulk(bytes);
  }

  /** What nobody has asked for just now: a message of a channel, a commit. */
  push(items: readonly string[]): string {
    return this.protocol === 3 ? `>${items.length}\r\n${items.join('')}` : array(items);
  }
}

export const writers = { 2: new Writer(2), 3: new Writer(3) } as const;
