/**
 * The port of a gRPC server. grpc-js is loaded at the first connection: with Node's HTTP/2 it costs 8 MB and 0.13 s of CPU,
 * and many processes have no gRPC client.
 */
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Env } from "./env.ts";
import { messageOf, UnavailableError } from "./errors.ts";
import type { GrpcServer, GrpcService } from "./grpc.ts";
import { type Address, formatAddress } from "./options.ts";

/** Serves the methods and the standard health service. @returns the address in use. */
export async function serveGrpc(address: Address, services: readonly GrpcService[], env: Env): Promise<Address> {
  let server: Promise<GrpcServer> | undefined;
  const accept = async (socket: Socket): Promise<void> => {
    server ??= import("./grpc.ts").then(({ createGrpcServer }) => createGrpcServer(services, env));
    const { inject } = await server;
    if (!socket.destroyed) inject(socket);
  };
  const listener = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    accept(socket).catch((err: unknown) => {
      env.log.error({ err }, "gRPC connection failed");
      socket.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", (cause) =>
      reject(new UnavailableError(`gRPC address ${formatAddress(address)}: ${messageOf(cause)}`, { cause })),
    );
    listener.listen(address.port, address.host, resolve);
  });
  env.defer("grpc server", async () => {
    listener.close();
    await (await server)?.shutdown();
  });
  return { host: address.host, port: (listener.address() as AddressInfo).port };
}
