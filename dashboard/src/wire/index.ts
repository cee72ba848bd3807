// The wire client, usable without the page: everything a reader of detections needs.
export { Client, type Connection, type Options } from './client'
export { afterClose, CloseCode } from './close'
export { json, type Codec } from './codec'
export { platform, type Environment, type Socket } from './environment'
export { Subscription, type Delivery, type Handlers, type Loss, type Matched } from './subscription'
export {
  ApiError, History, parameters, type AuditQuery, type ExportFormat, type Instance, type Metrics, type PastQuery, type Percentiles,
} from './history'
export type {
  AddressFacts, AuditEntries, AuditEvent, ChatFacts, Chats, DeadLetter, DeadLetters, Events, First, Found, InChat, PastEvent, SenderFacts, Statistics,
} from './answers'
export type * from './schema'
