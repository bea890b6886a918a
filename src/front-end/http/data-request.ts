import type { FastifyRequest, RouteGenericInterface } from 'fastify';
import type { Failure } from '../../protocol/errors.ts';
import type { QueryText } from './parse/query.ts';

/** The types of a data call in Fastify, for `app.get<DataRoute>(…)`. */
export interface DataRoute extends RouteGenericInterface {
  Params: { readonly acc: string; readonly '*': string };
  Querystring: QueryText;
  /** What `front-end/http/body.ts` has read; undefined without a body. */
  Body: Buffer<ArrayBuffer> | undefined;
}

export type DataRequest = FastifyRequest<DataRoute>;

/** Returns why the request is refused; undefined if it is allowed, and then `request.access` is set. */
export type Gate = (request: DataRequest) => Failure | undefined;
