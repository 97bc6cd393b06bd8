// Package ship tests what is delivered beside the code: packages, images, monitoring, and
// what the documents tell a newcomer to do. With the build tag interop.
package ship
