import type { FastifyRequest, RouteGenericInterface } from 'fastify';
import type { Failure } from '../../protocol/errors.ts';
import type { QueryText } from './parse/query.ts';

/** What Fastify hands over of a data call, for `app.get<DataRoute>(…)`. */
export interface DataRoute extends RouteGenericInterface {
  Params: { readonly acc: string; readonly '*': string };
  Querystring: QueryText;
  /** Text, see `front-end/http/body.ts`; undefined without a body. */
  Body: string | undefined;
}

export type DataRequest = FastifyRequest<DataRoute>;

/** What stands against this request; undefined when nothing does, and then it has its access. */
export type Gate = (request: DataRequest) => Failure | undefined;
