/** The file of every thread that the server starts. */
import { threadFile } from '../shared/thread-file.ts';

export const workerUrls = {
  backup: threadFile(import.meta.url, '../backup/backup-thread'),
  bodies: threadFile(import.meta.url, '../front-end/http/parse/body-thread'),
  checkpoint: threadFile(import.meta.url, '../storage/checkpoint/checkpoint-thread'),
  dispatcher: threadFile(import.meta.url, '../dispatcher/dispatcher-thread'),
  frontEnd: threadFile(import.meta.url, '../front-end/front-end-thread'),
  journal: threadFile(import.meta.url, '../journal/journal-thread'),
  scripts: threadFile(import.meta.url, '../front-end/resp/scripts/script-thread'),
  scriptPool: threadFile(import.meta.url, '../scripts/threads/script-thread'),
  shard: threadFile(import.meta.url, '../shard-worker/shard-thread'),
} as const;
