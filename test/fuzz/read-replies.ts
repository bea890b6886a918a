/** Parses the bytes of a connection into HTTP replies, strictly. */
export interface Replies {
  readonly statuses: readonly number[];
  /** Why the bytes are not a reply. A reply that has not fully arrived is no problem, and is not counted. */
  readonly problem: string | undefined;
}

export function readReplies(bytes: Buffer): Replies {
  const text = bytes.toString('latin1');
  const statuses: number[] = [];
  for (let at = 0; at < text.length; ) {
    const headEnd = text.indexOf('\r\n\r\n', at);
    const head = text.slice(at, headEnd < 0 ? undefined : headEnd);
    if (!/^HTTP\/1\.1 [1-5]\d\d [^\r\n]*(\r\n|$)/.test(head)) {
      if (headEnd < 0 && 'HTTP/1.1 '.startsWith(head.slice(0, 9))) return { statuses, problem: undefined };
      return { statuses, problem: `no reply begins at byte ${at}` };
    }
    if (headEnd < 0) return { statuses, problem: undefined };
    const status = Number(head.slice(9, 12));
    const end = bodyEnd(text, headEnd + 4, status, head);
    if (typeof end === 'string') return { statuses, problem: end };
    if (end > text.length) return { statuses, problem: undefined };
    if (status >= 200) statuses.push(status);
    at = end;
  }
  return { statuses, problem: undefined };
}

/** Returns the end of the reply: beyond the text if it has not fully arrived. */
function bodyEnd(text: string, start: number, status: number, head: string): number | string {
  if (status < 200 || status === 204 || status === 304) return start;
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length !== undefined) {
    // The reply to a mutation into HEAD has a length and no body.
    return text.startsWith('HTTP/1.1 ', start) ? start : start + Number(length);
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head))
    return /\r\nconnection: *close/i.test(head) ? text.length : 'no length';
  for (let at = start; ; ) {
    const line = text.indexOf('\r\n', at);
    if (line < 0) return text.length + 1;
    const size = Number.parseInt(text.slice(at, line), 16);
    if (Number.isNaN(size)) return `no chunk begins at byte ${at}`;
    at = line + 2 + size + 2;
    if (size === 0) return at;
  }
}
