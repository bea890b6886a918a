import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { openAccess, type Access } from '../../access.ts';
import type { DataCall } from '../data-route.ts';
import type { DataRequest, RequestBody } from '../data-request.ts';
import type { Refused } from '../large-bodies.ts';
import type { BodyContent, BodyKind } from '../parse/body-kinds.ts';
import type { QueryText } from '../parse/query.ts';
import type { RequestLine } from './request-line.ts';

/** A whole request of the fast lane. */
export class LaneRequest implements DataRequest {
  readonly call: DataCall;
  readonly socket: Socket;
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly params: { readonly acc: string; readonly '*': string };
  readonly query: QueryText;
  body: RequestBody | undefined;
  content: BodyContent<BodyKind> | Refused | undefined = undefined;
  /** Set by the gate. */
  access: Access = openAccess;

  constructor(socket: Socket, line: RequestLine, headers: IncomingHttpHeaders, body: RequestBody | undefined) {
    this.call = line.call;
    this.socket = socket;
    this.method = line.method;
    this.url = line.url;
    this.headers = headers;
    this.params = line.params;
    this.query = line.query;
    this.body = body;
  }
}
