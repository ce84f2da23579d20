defmodule TlsTest do
  @moduledoc "Distribution over TLS: BEAM nodes started with `-proto_dist inet_tls`, certificates on both sides."
  use Harness.Case

  alias Harness.Certificates

  setup_all do
    authority = Certificates.authority!()

    agent =
      Agent.describe(env: Certificates.env(authority, Certificates.issue!(authority, "agent")))
      |> Agent.launch()

    on_exit(fn -> Agent.dispose(agent) end)
    peer = tls_peer!(authority, "mission")
    on_exit(fn -> Peer.stop(peer) end)

    Wait.until(
      "the agent to answer over TLS",
      fn -> Peer.call(peer, Node, :ping, [agent.node]) == :pong end,
      30_000
    )

    {:ok, authority: authority, agent: agent, peer: peer}
  end

  test "calls, casts, monitors and messages of every size", %{agent: agent, peer: peer} do
    assert agent.node == Peer.call(peer, :rpc, :call, [agent.node, :erlang, :node, []])

    for size <- [0, 1, 16_383, 16_384, 65_536, 1_000_000, 10_000_000] do
      bytes = :binary.copy("x", size)
      assert bytes == Peer.call(peer, :rpc, :call, [agent.node, :application, :get_env, [:a, :b, bytes]])
    end

    assert {:noproc, _} = Peer.call(peer, Harness.Inside, :no_server, [agent.node])
    many = Peer.call(peer, Harness.Inside, :many, [agent.node, 64, 200])
    assert many == 64 * 200
  end

  test "a stream of many lines arrives whole and in order", %{agent: agent, peer: peer} do
    assert :ok == Peer.call(peer, Harness.Inside, :stream, [agent.node, 200_000])
  end

  test "the agent dials Mission Control over TLS", %{authority: authority} do
    mission_control = tls_peer!(authority, "mc")
    env = Certificates.env(authority, Certificates.issue!(authority, "dialling"))

    agent =
      Agent.describe(env: Map.put(env, "MISSION_CONTROL_HOST", "#{mission_control.node}")) |> Agent.launch()

    on_exit(fn -> Agent.dispose(agent) end)
    here? = fn -> agent.node in Peer.call(mission_control, Node, :list, [:hidden]) end
    Wait.until("the agent to come", here?, 30_000)
    assert agent.node == Peer.call(mission_control, :rpc, :call, [agent.node, :erlang, :node, []])
    Peer.stop(mission_control)
  end

  test "who shows no certificate, one of another authority or speaks no TLS is refused", %{
    agent: agent,
    peer: peer
  } do
    other = Certificates.authority!()
    stranger = tls_peer!(other, "stranger")
    assert :pang == Peer.call(stranger, Node, :ping, [agent.node])
    Peer.stop(stranger)
    assert :pang == Node.ping(agent.node)
    Wait.until("the log to say why", fn -> Agent.log(agent) =~ "no TLS connection could be made" end)
    assert :pong == Peer.call(peer, Node, :ping, [agent.node])
  end

  test "the agent talks to no Mission Control whose certificate is of another authority or for another host",
       %{
         authority: authority
       } do
    env = Certificates.env(authority, Certificates.issue!(authority, "careful"))

    for {of, host} <- [{Certificates.authority!(), "127.0.0.1"}, {authority, "10.9.9.9"}] do
      mission_control = tls_peer!(of, "wrong#{Agent.unique()}", host)

      agent =
        Agent.describe(env: Map.put(env, "MISSION_CONTROL_HOST", "#{mission_control.node}")) |> Agent.launch()

      Wait.until(
        "the log to say why",
        fn -> Agent.log(agent) =~ "no TLS connection could be made" end,
        30_000
      )

      refute agent.node in Peer.call(mission_control, Node, :list, [:hidden])
      Agent.dispose(agent)
      Peer.stop(mission_control)
    end
  end

  test "a node that speaks TLS to an agent that does not is told of in the log", %{authority: authority} do
    agent = own_agent!()
    assert Agent.log(agent) =~ "not encrypted"
    peer = tls_peer!(authority, "eager")
    assert :pang == Peer.call(peer, Node, :ping, [agent.node])
    Wait.until("the log to say why", fn -> Agent.log(agent) =~ "it speaks TLS, and this node does not" end)
    assert :pong == Node.ping(agent.node)
    Peer.stop(peer)
  end

  test "with TLS the log does not warn of its absence", %{agent: agent} do
    refute Agent.log(agent) =~ "not encrypted"
  end

  defp tls_peer!(authority, name, host \\ "127.0.0.1") do
    Peer.start!(args: Certificates.args(authority, Certificates.issue!(authority, name, host)))
  end
end
