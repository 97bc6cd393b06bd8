// Package typing is the end of a call's text that is seen while it is typed (RFC 4103): a socket,
// its packets, and what they mean to a user who reads messages. It keeps its own pace and tells
// nobody's protocol but RTP.
package typing
