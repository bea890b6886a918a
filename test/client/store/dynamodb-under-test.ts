/** A DynamoDB in memory (dynalite), and a client of it whose calls take no virtual time. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { DynamoDB } from '@aws-sdk/client-dynamodb';
import dynalite from 'dynalite';
import type { DynamoDbCalls } from '../../../src/client/store/dynamodb-calls.ts';
import { dynamoDbTable } from '../../../src/client/store/dynamodb-table.ts';
import type { VirtualTime } from './virtual-time.ts';

export const tableName = 'coordination';

export interface DynamoDbUnderTest {
  readonly client: DynamoDB;
  /** Environment variables with which the client of another process finds this DynamoDB. */
  readonly environment: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

export async function startDynamoDb({ withTable = true } = {}): Promise<DynamoDbUnderTest> {
  const server = dynalite({ createTableMs: 0 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new DynamoDB({
    region: 'local',
    endpoint: url,
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
  });
  if (withTable) await client.createTable(dynamoDbTable(tableName));
  return {
    client,
    environment: {
      AWS_ENDPOINT_URL: url,
      AWS_REGION: 'local',
      AWS_ACCESS_KEY_ID: 'any',
      AWS_SECRET_ACCESS_KEY: 'any',
    },
    async close() {
      client.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Wraps a client so that virtual time stands still during each call. */
export function timeless(client: DynamoDbCalls, time: VirtualTime): DynamoDbCalls {
  return {
    getItem: (input) => time.during(() => client.getItem(input)),
    updateItem: (input) => time.during(() => client.updateItem(input)),
    query: (input) => time.during(() => client.query(input)),
  };
}
