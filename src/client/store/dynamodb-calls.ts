/**
 * The part of `@aws-sdk/client-dynamodb` that the store uses, in types of our own. That package is an optional peer:
 * with its types in our declarations, a project without it could not be type-checked. A `DynamoDB` client of the SDK
 * has these methods.
 */

/** The methods of the `DynamoDB` client that the store calls. */
export interface DynamoDbCalls {
  getItem(input: GetItemInput): Promise<{ readonly Item?: Item | undefined }>;
  updateItem(input: UpdateItemInput): Promise<UpdateItemOutput>;
  query(input: QueryInput): Promise<QueryOutput>;
}

export type Item = Record<string, AttributeValue>;

/** One of the members is set. */
export interface AttributeValue {
  S?: string | undefined;
  N?: string | undefined;
  BOOL?: boolean | undefined;
}

export interface GetItemInput {
  TableName: string | undefined;
  Key: Item | undefined;
  ConsistentRead?: boolean | undefined;
}

export interface UpdateItemInput {
  TableName: string | undefined;
  Key: Item | undefined;
  UpdateExpression?: string | undefined;
  ExpressionAttributeNames?: Record<string, string> | undefined;
  ExpressionAttributeValues?: Item | undefined;
  ConditionExpression?: string | undefined;
  ReturnValues?: string | undefined;
}

export interface UpdateItemOutput {
  readonly Attributes?: Item | undefined;
}

export interface QueryInput {
  TableName: string | undefined;
  KeyConditionExpression?: string | undefined;
  ExpressionAttributeNames?: Record<string, string> | undefined;
  ExpressionAttributeValues?: Item | undefined;
  ConsistentRead?: boolean | undefined;
  ExclusiveStartKey?: Item | undefined;
}

export interface QueryOutput {
  readonly Items?: Item[] | undefined;
  readonly LastEvaluatedKey?: Item | undefined;
}

/** The input for `createTable` of the client. */
export interface TableDefinition {
  TableName: string;
  BillingMode: 'PAY_PER_REQUEST';
  KeySchema: { AttributeName: string; KeyType: 'HASH' | 'RANGE' }[];
  AttributeDefinitions: { AttributeName: string; AttributeType: 'S' }[];
}

/** The input for `updateTimeToLive` of the client. */
export interface TimeToLiveDefinition {
  TableName: string;
  TimeToLiveSpecification: { AttributeName: string; Enabled: boolean };
}
