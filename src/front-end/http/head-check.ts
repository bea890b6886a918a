/** What every path asks of a request's head, before anything else: one of each header, and a host that is served. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { failure, type Failure } from '../../protocol/errors.ts';
import type { Config } from '../config-schema.ts';
import { cameByUnixSocket } from '../listen.ts';
import { hostCheck } from './hosts.ts';
import { repeatedHeader } from './repeated-headers.ts';

/** Returns why the request is refused; undefined if its head is right. */
export type HeadCheck = (request: RequestHead) => Failure | undefined;

export type RequestHead = Pick<IncomingMessage, 'headers' | 'rawHeaders' | 'httpVersion' | 'url'> & {
  readonly socket: Socket;
};

export function headCheck({ http, listen, tokens }: Pick<Config, 'http' | 'listen' | 'tokens'>): HeadCheck {
  const checkHost = tokens.length > 0 ? undefined : hostCheck([...hostsOf(listen), ...http.hosts]);
  return (request) => {
    const repeated = repeatedHeader(request);
    if (repeated !== undefined) return repeated;
    if (request.headers.host === undefined && request.httpVersion !== '1.0') return noHost;
    // No page of the web comes by a Unix socket.
    return checkHost === undefined || cameByUnixSocket(request.socket) ? undefined : checkHost(request);
  };
}

function hostsOf(listen: Config['listen']): string[] {
  return listen.flatMap((one) => (one.kind === 'tcp' ? [one.host] : []));
}

const noHost = failure('invalid', 'Host: missing; expected this header, as HTTP/1.1 demands');
