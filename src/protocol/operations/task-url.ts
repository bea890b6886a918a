/** Reads the URL and the headers of a task that sends a request. Whether its host is allowed is judged elsewhere. */
import { taskHeaderBytesMax, taskHeadersMax, taskUrlBytesMax } from '../../shared/task-limits.ts';
import { shown } from '../../shared/text.ts';
import { refuse, refuseField } from '../refusal.ts';

/** @returns the URL as a client of HTTP writes it @throws Refusal */
export function readTargetUrl(text: string, path: string): string {
  const bytes = Buffer.byteLength(text);
  if (bytes > taskUrlBytesMax)
    refuse('too_large', `${path}: ${bytes} bytes; expected at most ${taskUrlBytesMax} (the limit of a task)`);
  const expected = 'expected an http: or https: URL';
  const url = URL.parse(text);
  if (url === null) return refuseField(path, `${expected}, got ${shown(text)}`);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    return refuseField(path, `${expected}, got one with the scheme ${shown(url.protocol)}`);
  if (url.username !== '' || url.password !== '')
    return refuseField(path, 'expected no user and password in it; put an Authorization header into Headers');
  url.hash = '';
  if (url.href.length > taskUrlBytesMax)
    refuse('too_large', `${path}: ${url.href.length} bytes when encoded; expected at most ${taskUrlBytesMax}`);
  return url.href;
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const value = /^[\t\u0020-\u007e\u0080-\u00ff]*$/;
const ours = new Set([
  'host',
  'content-length',
  'connection',
  'transfer-encoding',
  'keep-alive',
  'upgrade',
  'expect',
  'te',
  'trailer',
]);

/** @returns the headers with names in lower case @throws Refusal */
export function readTargetHeaders(given: Readonly<Record<string, string>>, path: string): Record<string, string> {
  const entries = Object.entries(given);
  if (entries.length > taskHeadersMax)
    refuse('too_large', `${path}: ${entries.length} headers; expected at most ${taskHeadersMax}`);
  const headers: Record<string, string> = Object.create(null) as Record<string, string>;
  let bytes = 0;
  for (const [given, text] of entries) {
    const name = given.toLowerCase();
    if (!token.test(name)) refuseField(path, `expected names of headers, got ${shown(given)}`);
    if (ours.has(name) || name.startsWith('webhook-') || name.startsWith('dragonlock-') || name.startsWith('proxy-'))
      refuseField(`${path}.${given}`, 'expected no such header: the server sets it, or nobody does');
    if (name in headers) refuseField(`${path}.${given}`, 'expected each header once, got it twice');
    if (!value.test(text)) refuseField(`${path}.${given}`, 'expected printable characters of Latin-1');
    headers[name] = text;
    bytes += name.length + text.length;
  }
  if (bytes > taskHeaderBytesMax)
    refuse('too_large', `${path}: ${bytes} bytes; expected at most ${taskHeaderBytesMax} (the limit of a task)`);
  return { ...headers };
}
