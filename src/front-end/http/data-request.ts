import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyRequest, RouteGenericInterface } from 'fastify';
import type { Failure } from '../../protocol/errors.ts';
import type { Access } from '../access.ts';
import type { Refused } from './large-bodies.ts';
import type { BodyContent, BodyKind } from './parse/body-kinds.ts';
import type { QueryText } from './parse/query.ts';

/** The types of a data call in Fastify, for `app.get<DataRoute>(…)`. */
export interface DataRoute extends RouteGenericInterface {
  Params: { readonly acc: string; readonly '*': string };
  Querystring: QueryText;
  /** What `front-end/http/body.ts` has read; undefined without a body. */
  Body: RequestBody | undefined;
}

/** The bytes of a body, or, from the fast lane, its text, if it is ASCII. */
export type RequestBody = Buffer<ArrayBuffer> | string;

/** A data call as it came over Fastify. */
export type FastifyDataRequest = FastifyRequest<DataRoute>;

/** What a data call reads of its request, on either way. */
export interface DataRequest {
  readonly method: string;
  /** The target as it was sent; for logs. */
  readonly url: string;
  readonly socket: Socket;
  readonly headers: IncomingHttpHeaders;
  readonly params: DataRoute['Params'];
  readonly query: QueryText;
  body: RequestBody | undefined;
  /** The content of a large body, or why it is refused; see `bodyOf`. */
  content: BodyContent<BodyKind> | Refused | undefined;
  access: Access;
}

declare module 'fastify' {
  interface FastifyRequest {
    access: Access;
    content: BodyContent<BodyKind> | Refused | undefined;
  }
}

/** Returns why the request is refused; undefined if it is allowed, and then `request.access` is set. */
export type Gate = (request: DataRequest) => Failure | undefined;
