/**
 * Which data calls the fast lane takes: those that Fastify has, but for streams. The table is filled as routes are
 * added, so there is one list of routes.
 */
import type { FastifyInstance } from 'fastify';
import { accountPattern } from '../../../protocol/ids.ts';
import type { DataCall } from '../data-route.ts';
import { ownCopy } from './own-copy.ts';

/** What a request line begins with, up to the id or to the end of the path, and what follows from it. */
export interface LaneRoute {
  /** Such as `POST /db/acc/kv/`. */
  readonly prefix: string;
  readonly method: string;
  readonly account: string;
  readonly call: DataCall;
  /** An id follows. */
  readonly takesId: boolean;
}

export class LaneRoutes {
  readonly #calls = new Map<string, DataCall>();

  static of(app: FastifyInstance): LaneRoutes {
    const routes = new LaneRoutes();
    app.addHook('onRoute', ({ method, url, config }) => {
      if (config?.call !== undefined) for (const one of [method].flat()) routes.add(one, url, config.call);
    });
    return routes;
  }

  /** @param url as Fastify has it: `/db/:acc/kv/*` */
  add(method: string, url: string, call: DataCall): void {
    if (method !== 'HEAD') this.#calls.set(`${method} ${url}`, call);
  }

  /** @param at where the request line begins @returns undefined: not for the lane */
  find(text: string, at: number): LaneRoute | undefined {
    beginning.lastIndex = at;
    const parts = beginning.exec(text);
    if (parts === null) return undefined;
    const [prefix, method = '', door = '', account = '', noun = '', slash = ''] = parts;
    const call = this.#calls.get(`${method} /${door}/:acc${noun}${slash === '' ? '' : '/*'}`);
    if (call === undefined || !accountPattern.test(account)) return undefined;
    return { prefix: ownCopy(prefix), method, account: ownCopy(account), call, takesId: slash !== '' };
  }
}

const beginning = /(POST|GET|DELETE) \/(db|watch)\/([\w.-]+)(\/[a-z]+)?(\/)?/y;
