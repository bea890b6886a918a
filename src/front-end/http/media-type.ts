/** What a body is, from its headers: JSON or text, in plain UTF-8. Anything else is refused before it is read. */
import type { IncomingHttpHeaders } from 'node:http';
import { failure, type Failure } from '../../protocol/errors.ts';
import { shown } from '../../shared/text.ts';

export type MediaType = 'json' | 'text' | 'javascript' | 'other';
/** What a call takes besides JSON; a source is no JSON, but may claim to be. */
export type TakesText = boolean | 'source';

/**
 * A body without a content type is JSON. So is one that claims to be a form, because `curl -d '{…}'` claims that of
 * every body. `other` is what we cannot read: another type, or another charset than UTF-8.
 */
export function mediaType(header: string | undefined): MediaType {
  if (header === undefined || header === 'application/json') return 'json';
  const [name = '', ...parameters] = header.split(';').map((part) => part.trim().toLowerCase());
  if (!parameters.every(isHarmless)) return 'other';
  if (name === 'application/json' || name === 'application/x-www-form-urlencoded' || name === '') return 'json';
  if (name === 'text/javascript' || name === 'application/javascript') return 'javascript';
  return name === 'text/plain' ? 'text' : 'other';
}

function isHarmless(parameter: string): boolean {
  if (parameter === '') return true;
  const [, name, value] = /^([\w!#$%&'*+.^`|~-]+)=("[^"]*"|[^\s"]+)$/.exec(parameter) ?? [];
  if (name === undefined) return false;
  return name !== 'charset' || /^"?utf-?8"?$/.test(value!);
}

/** @param text whether the call takes text/plain too, or the source of a script */
export function refusedMedia(headers: IncomingHttpHeaders, text: TakesText): Failure | undefined {
  const type = headers['content-type'];
  const media = mediaType(type);
  if (media === 'other' || (media === 'text' && text === false) || (media === 'javascript' && text !== 'source'))
    return unsupported(type, text);
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && !/^(identity)?$/i.test(encoding)) {
    const got = `Content-Encoding: expected none, got ${shown(encoding)}`;
    return failure('unsupported_media_type', `${got}; send the body uncompressed`);
  }
  const transfer = headers['transfer-encoding'];
  if (transfer !== undefined && !/^chunked$/i.test(transfer)) {
    return failure('unsupported_media_type', `Transfer-Encoding: expected chunked or none, got ${shown(transfer)}`);
  }
  return undefined;
}

function unsupported(type: string | undefined, text: TakesText): Failure {
  const also = text === false ? '' : ', or text/plain with ?as=text';
  const expected = `Content-Type: expected ${text === 'source' ? 'text/javascript' : `application/json${also}`}, in UTF-8`;
  return failure('unsupported_media_type', `${expected}; got ${shown(String(type).slice(0, 100))}`);
}
