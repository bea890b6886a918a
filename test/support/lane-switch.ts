/**
 * `DRAGONLOCK_FAST_LANE=off`: all servers of the tests run without the fast lane, so that every test of HTTP can be run
 * once over each way. `npm test` runs a part of them so (`lane/without-lane.test.ts`), torture all.
 */
import { isMap, parseDocument } from 'yaml';

const off = process.env['DRAGONLOCK_FAST_LANE'] === 'off';

/** @param yaml a config.yml; one that is broken, or that says what it wants, is not touched */
export function withLaneSwitch(yaml: string): string {
  if (!off) return yaml;
  const document = parseDocument(yaml === '' ? '{}' : yaml);
  const http = document.get('http');
  if (document.errors.length > 0 || !isMap(document.contents) || !(http === undefined || isMap(http))) return yaml;
  if (document.hasIn(['http', 'fast_lane'])) return yaml;
  document.setIn(['http', 'fast_lane'], false);
  return document.toString();
}
