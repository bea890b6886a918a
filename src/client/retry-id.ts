/**
 * Idempotency ids for writes that can be sent again: UUIDs of version 7, which begin with the time. The server keeps a
 * record for each, ordered by id. Ids of one period are neighbours there: the server looks them up, writes and deletes
 * them within a few pages, whereas each random id would touch a page of its own.
 */
import { randomUUID } from 'node:crypto';

/** @param wallMs milliseconds since the epoch; a wrong clock costs only the order */
export function retryId(wallMs: number): string {
  const time = Math.floor(wallMs).toString(16).padStart(12, '0');
  // Random bits follow the version digit.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}
