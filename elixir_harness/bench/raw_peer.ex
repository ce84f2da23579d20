defmodule Bench.RawPeer do
  @moduledoc "A hidden node that shakes hands and then says nothing: what it costs the other side is the connection alone."

  @flags 0xD_075F_5FBC

  def connect!(port, name, cookie) do
    {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, port, [:binary, active: false, packet: 2, nodelay: true])
    :ok = :gen_tcp.send(socket, <<"N", @flags::64, 7::32, byte_size(name)::16, name::binary>>)
    {:ok, "sok"} = :gen_tcp.recv(socket, 0, 5_000)
    {:ok, <<"N", _flags::64, challenge::32, _rest::binary>>} = :gen_tcp.recv(socket, 0, 5_000)
    :ok = :gen_tcp.send(socket, ["r", <<1::32>>, :erlang.md5([to_string(cookie), to_string(challenge)])])
    {:ok, <<"a", _digest::binary>>} = :gen_tcp.recv(socket, 0, 5_000)
    socket
  end
end
