/** `dragonlock health`, for supervisors of containers: asks the server of this configuration whether it is ready. */
import http from 'node:http';
import https from 'node:https';
import { listenText, type Listen } from '../../front-end/listen.ts';
import { ConfigError, loadConfig, type ConfigSources } from '../config/config.ts';

const patienceMs = 4000;
/** A server that listens on all addresses listens on this one. */
const own: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** @returns why it is not; undefined: it is */
export async function isReady(sources: ConfigSources): Promise<string | undefined> {
  let where: Listen;
  let withTls: boolean;
  try {
    const { listen, http: settings } = loadConfig(sources);
    const [first] = listen;
    if (first === undefined || first.kind === 'fd') return 'the configuration does not say where the server listens';
    where = first;
    withTls = settings.tls !== undefined;
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.join('\n');
    throw error;
  }
  const place =
    where.kind === 'unix' ? { socketPath: where.path } : { host: own[where.host] ?? where.host, port: where.port };
  // It is our own server, whatever name its certificate has.
  const options = {
    ...place,
    path: '/readyz',
    timeout: patienceMs,
    headers: { host: 'localhost' },
    rejectUnauthorized: false,
  };
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const request = (withTls ? https : http).get(options, (reply) => {
    reply.resume();
    resolve(reply.statusCode === 200 ? undefined : `${listenText(where)} answers ${reply.statusCode}`);
  });
  request.on('timeout', () => request.destroy(new Error(`no reply within ${patienceMs} ms`)));
  request.on('error', (error) => resolve(`${listenText(where)}: ${error.message}`));
  return promise;
}
