/** The HTTP door with a fake dispatcher, and short ways to send it requests. */
import type { TestContext } from 'node:test';
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import type { TokenTable } from '../../../src/front-end/access.ts';
import { buildApp, frontEndContext, type AppOptions } from '../../../src/front-end/http/app.ts';
import { loadConfig } from '../../../src/main/config/config.ts';
import { allocateSharedCounters } from '../../../src/front-end/shared-counters.ts';
import type { Config } from '../../../src/front-end/config-schema.ts';
import { withLaneSwitch } from '../../support/lane-switch.ts';
import { FakeDispatcher } from './fake-dispatcher.ts';

export interface HttpDoorUnderTest {
  readonly app: FastifyInstance;
  readonly dispatcher: FakeDispatcher;
  /** The details of logged errors. */
  readonly logged: object[];
  readonly tokens: TokenTable;
  state: 'starting' | 'serving' | 'draining';
  send(
    method: 'GET' | 'POST' | 'DELETE',
    url: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<LightMyRequestResponse>;
}

/** @param pageFiles URL of the admin page's files; absent: no page */
export function makeDoor(t: TestContext, yaml = '', now?: AppOptions['now'], pageFiles?: string): HttpDoorUnderTest {
  const dispatcher = new FakeDispatcher();
  const config = configOf(yaml);
  const logged: object[] = [];
  const whenStarted = new Set<() => void>();
  let state: HttpDoorUnderTest['state'] = 'serving';
  const log = { error: (details: object) => void logged.push(details), warn: () => {} };
  const options: AppOptions = {
    config,
    index: 0,
    counters: allocateSharedCounters(config),
    dispatcher,
    boot: 'boot7',
    version: '1.2.3',
    log,
    lifecycle: {
      state: () => state,
      onceStarted(run) {
        whenStarted.add(run);
        return () => whenStarted.delete(run);
      },
    },
    ...(now && { now }),
    ...(pageFiles !== undefined && { pageFiles }),
  };
  const context = frontEndContext(options);
  const door: HttpDoorUnderTest = {
    app: buildApp(options, context),
    dispatcher,
    logged,
    tokens: context.tokens,
    get state() {
      return state;
    },
    set state(next) {
      state = next;
      if (next !== 'starting') for (const run of whenStarted) run();
    },
    send(method, url, body, headers = {}) {
      const options: InjectOptions = { method, url, headers };
      if (typeof body === 'string' || Buffer.isBuffer(body)) options.payload = body;
      else if (body !== undefined) {
        options.payload = JSON.stringify(body);
        options.headers = { 'content-type': 'application/json', ...headers };
      }
      return door.app.inject(options);
    },
  };
  t.after(() => door.app.close());
  return door;
}

export function configOf(yaml: string): Config {
  return loadConfig({ argv: [], env: {}, cores: 2, readFile: () => withLaneSwitch(yaml) });
}
